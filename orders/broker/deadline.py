"""
A deadline for one HTTP call as a whole, and a last look at the clock right before its first byte leaves.

`requests` takes a time-out for each wait on the socket, so a server that dribbles bytes can hold a call for ever; and
a process that is paused after it decided to send would send whenever it wakes. Both are handled where the socket is:
the connection looks at the clock when it is connected and about to write, and a watchdog shuts the socket down when
the call as a whole has taken too long.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

from orders.broker.gateway import NotSent
from orders.broker.rows_as_sent import AnswerWithRows

LONG_LISTS = frozenset({"/orders", "/trades"})

IDLE_SECONDS = 60.0  # how long the watchdog sleeps when nothing is under way


class Call:
    """One call under way: when it must have left (CLOCK_BOOTTIME), and which socket carries it."""

    def __init__(self, send_by: float | None) -> None:
        self.send_by = send_by
        self.sock: socket.socket | None = None
        self.given_up = False

    def leave(self, sock: socket.socket) -> None:
        """Let the call go out over the socket, or raise `NotSent`."""
        self.sock = sock
        if self.send_by is not None and boot_clock() > self.send_by:
            raise NotSent("not sent: its sender woke too late")
        if self.given_up:
            raise NotSent("not sent: connecting took longer than the whole call may")

    def give_up(self) -> None:
        """End the call from outside: whoever waits on the socket sees the connection close."""
        self.given_up = True
        if self.sock is not None:
            with contextlib.suppress(OSError, ValueError):  # closed already: the call has ended by itself
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def boot_clock() -> float:
    """Return seconds since the machine started, its sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextlib.contextmanager
def deadline(seconds: float, *, send_by: float | None = None) -> Iterator[Call]:
    """
    Bound every HTTP call inside to `seconds` in all, and the moment of sending to `send_by`.

    The call that is handed out has a socket from the moment that its first byte may have left.
    """
    call = Call(send_by)
    token = _current.set(call)
    try:
        _WATCHDOG.watch(call, seconds)
        yield call
    finally:
        _WATCHDOG.forget(call)
        _current.reset(token)


class _Watchdog:
    """
    One thread that ends the calls which take too long.

    A thread for each call would have to be waited for until it runs, while an order waits to leave.
    """

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Know of no call: in a forked process there is neither the thread nor any call of the parent's."""
        self._changed = threading.Condition()
        self._ends: dict[Call, float] = {}  # by the monotonic clock
        self._wakes_at = 0.0
        self._thread: threading.Thread | None = None

    def watch(self, call: Call, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self._changed:
            self._ends[call] = end
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                thread.start()
                self._thread = thread
            elif end < self._wakes_at:
                self._changed.notify()

    def forget(self, call: Call) -> None:
        """Leave the call alone from now on: its socket may carry the next one."""
        with self._changed:
            self._ends.pop(call, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for call in [call for call, end in self._ends.items() if end <= now]:
                    del self._ends[call]
                    call.give_up()
                self._wakes_at = min(self._ends.values(), default=now + IDLE_SECONDS)
                self._changed.wait(self._wakes_at - now)


_WATCHDOG = _Watchdog()
os.register_at_fork(after_in_child=_WATCHDOG.begin_anew)


class _LastLook:
    """Connects first, so that the look at the clock is the last thing before the request is written."""

    sock: socket.socket | None

    def request(self, *args: Any, **kwargs: Any) -> None:
        call = _current.get()
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        if call is not None:
            assert self.sock is not None, "connect() either opens a socket or raises"
            call.leave(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]


class _Connection(_LastLook, HTTPConnection):
    pass


class _SecureConnection(_LastLook, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = super().build_response(req, resp)
        if req.method == "GET" and urlsplit(req.url or "").path in LONG_LISTS:
            response.__class__ = AnswerWithRows  # which class it makes is nothing that `requests` lets one choose
        return response


class ReadingRefused(AssertionError):
    """A request that may change something was about to leave where only reading is allowed: a defect of ours."""


class DeadlineSession(requests.Session):
    """A session that obeys `deadline`, follows no redirect, retries nothing and takes nothing from the environment."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False  # neither a proxy nor a ~/.netrc may stand between us and the broker
        self.mount("http://", _Adapter(max_retries=0))
        self.mount("https://", _Adapter(max_retries=0))

    def get_redirect_target(self, resp: requests.Response) -> None:
        # A redirect would turn a POST into a GET without a body: what that did is not for us to guess.
        return None


class ReadingSession(DeadlineSession):
    """A session that lets nothing out but reading, and the exchange of a request token for the day's login."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        path = urlsplit(request.url or "").path
        if request.method != "GET" and (request.method, path) != ("POST", "/session/token"):
            raise ReadingRefused(f"{request.method} {path} does not only read: nothing was sent")
        return super().send(request, **options)
