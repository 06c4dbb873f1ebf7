"""What is traded in the soak, and at what price: fixed, so that every limit can be reckoned from the journal."""

SIGNALLED = {"RELIANCE": "1400.00", "INFY": "1500.00", "ACC": "1840.00", "BAJFINANCE": "1010.00", "AXISBANK": "1270.00"}
BY_STAFF, BY_STAFF_PRICE = "BANKBARODA", "288.00"  # no signal names it
PRICES = {**SIGNALLED, BY_STAFF: BY_STAFF_PRICE}
