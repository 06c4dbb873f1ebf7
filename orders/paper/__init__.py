"""
A Kite Connect v3 server for paper trading: a real HTTP server that the real SDK cannot tell from Zerodha's.

It knows nothing of the rest of the project and can be run alone: `python -m orders.paper --state-dir DIR`.
The pieces, from the outside in: `program` is the process, `server` the routes, `faults` the ways in which it
can be told to fail, `exchange` decides what happens to an order, `money` counts what it did to the account,
and `market` says what things cost. Each imports only what stands to its right.
"""
