"""
A Kite Connect v3 server for paper trading: a real HTTP server that the real SDK cannot tell from Zerodha's.

It knows nothing of the rest of the project and can be run alone: `python -m orders.paper --state-dir DIR`.
The pieces, from the inside out: `market` says what things cost, `book` is the state that a journal of
`events` rebuilds, `exchange` decides what happens next, `journal` makes it durable, `wire` and its
neighbours put it in Kite's words, `server` and `control` are the routes, and `faults` are the ways in which
it can be told to fail.
"""
