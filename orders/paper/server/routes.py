"""What every group of routes says of itself: which fault may strike, method, path, and who answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from orders.paper.exchange.quirks import Quirks
from orders.paper.faults.faults import Route

Handler = Callable[[web.Request, Quirks], Awaitable[web.Response]]
RouteTable = list[tuple[Route, str, str, Handler]]
