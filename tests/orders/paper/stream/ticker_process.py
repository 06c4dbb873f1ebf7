"""
The SDK's KiteTicker in a process of its own: Twisted's reactor runs once per process and would not stop with a test.

`python ticker_process.py ROOT` takes commands as JSON lines on its standard input and prints one JSON line for
each callback. Every command names a ticker: connect (with a token), subscribe, unsubscribe, mode, close.
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import datetime

from kiteconnect import KiteTicker
from kiteconnect.ticker import KiteTickerClientFactory, KiteTickerClientProtocol, reactor

# Twisted's own knobs for the first pause before a reconnection, so that no test waits for seconds.
KiteTickerClientFactory.initialDelay = KiteTickerClientFactory.delay = 0.05
# The SDK's own watchdog looks this often, and gives up two intervals after the last pong.
KiteTickerClientProtocol.PING_INTERVAL = 0.1


class Tickers:
    def __init__(self, root: str) -> None:
        self.root = root
        self.by_name: dict[str, KiteTicker] = {}

    def obey(self, command: dict) -> None:
        name, what = command["ticker"], command["do"]
        if what == "connect":
            self.by_name[name] = self.connect(name, command["token"])
            return
        ticker = self.by_name[name]
        match what:
            case "subscribe":
                ticker.subscribe(command["tokens"])
            case "unsubscribe":
                ticker.unsubscribe(command["tokens"])
            case "mode":
                ticker.set_mode(command["mode"], command["tokens"])
            case "say":
                ticker.ws.sendMessage(command["text"].encode())
            case "close":
                ticker.close()

    def connect(self, name: str, token: str) -> KiteTicker:
        ticker = KiteTicker("key", token, root=self.root)

        def tell(event: str, **facts: object) -> None:
            line = {"ticker": name, "event": event} | facts
            sys.stdout.write(json.dumps(line, default=datetime.isoformat) + "\n")
            sys.stdout.flush()

        ticker.on_ticks = lambda ws, ticks: tell("ticks", ticks=ticks)
        ticker.on_connect = lambda ws, response: tell("connect")
        ticker.on_close = lambda ws, code, reason: tell("close", code=code, reason=str(reason))
        ticker.on_error = lambda ws, code, reason: tell("error", code=code, reason=str(reason))
        ticker.on_reconnect = lambda ws, attempts: tell("reconnect", attempts=attempts)
        ticker.on_order_update = lambda ws, row: tell("order_update", row=row)
        ticker.on_message = lambda ws, payload, is_binary: tell("message", length=len(payload), binary=is_binary)
        ticker.connect()
        return ticker


def obey_lines(tickers: Tickers) -> None:
    """Pass each line to the reactor's thread; stop the reactor when the input ends."""
    for line in sys.stdin:
        reactor.callFromThread(tickers.obey, json.loads(line))
    reactor.callFromThread(reactor.stop)


def main() -> None:
    tickers = Tickers(sys.argv[1])
    threading.Thread(target=obey_lines, args=(tickers,), daemon=True).start()
    reactor.run()


if __name__ == "__main__":
    main()
