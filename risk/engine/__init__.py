"""
May this order be sent? Facts in, decision out.

Nothing here reads a database, a network or a clock: every fact is handed in with the moment it was true, and the
same facts always give the same decision. That is what lets each rule be tested at its limit and just past it, and
lets a decision be explained years later from the facts stored beside it.
"""
