"""
What Kite has and this account has nothing of: mutual funds, alerts, auctions.

Lists are empty but well-formed, so that a client that reads them goes on; what would write is refused.
"""

from __future__ import annotations

from aiohttp import web

from orders.paper.envelope import success
from orders.paper.errors import KiteRefusal, bad_input
from orders.paper.exchange.quirks import Quirks
from orders.paper.faults.faults import Route
from orders.paper.server.routes import RouteTable

FUNDS_HEADER = (
    "tradingsymbol,amc,name,purchase_allowed,redemption_allowed,minimum_purchase_amount,"
    "purchase_amount_multiplier,minimum_additional_purchase_amount,minimum_redemption_quantity,"
    "redemption_quantity_multiplier,dividend_type,scheme_type,plan,settlement_type,last_price,last_price_date\n"
)
EMPTY = (
    "/mf/orders",
    "/mf/sips",
    "/mf/holdings",
    "/alerts",
    "/alerts/{uuid}/history",
    "/portfolio/holdings/auctions",
)
ABSENT = ("/mf/orders/{one}", "/mf/sips/{one}", "/mf/holdings/{one}", "/alerts/{one}")
WRITES = (
    ("POST", "/mf/orders"),
    ("DELETE", "/mf/orders/{one}"),
    ("POST", "/mf/sips"),
    ("PUT", "/mf/sips/{one}"),
    ("DELETE", "/mf/sips/{one}"),
    ("POST", "/alerts"),
    ("PUT", "/alerts/{one}"),
    ("DELETE", "/alerts"),
    ("POST", "/portfolio/holdings/authorise"),
)


class QuietRoutes:
    def routes(self) -> RouteTable:
        return [
            *((Route.ANY, "GET", path, self.nothing) for path in EMPTY),
            *((Route.ANY, "GET", path, self.absent) for path in ABSENT),
            *((Route.ANY, method, path, self.refuse) for method, path in WRITES),
            (Route.ANY, "GET", "/mf/instruments", self.funds),
        ]

    async def nothing(self, _request: web.Request, _: Quirks) -> web.Response:
        return success([])

    async def absent(self, _request: web.Request, _: Quirks) -> web.Response:
        raise KiteRefusal(404, "GeneralException", "Not found.")

    async def refuse(self, request: web.Request, _: Quirks) -> web.Response:
        what = {"mf": "Mutual funds", "alerts": "Alerts"}.get(request.path.split("/")[1], "Authorisations")
        raise bad_input(f"{what} are not available on paper.")

    async def funds(self, _request: web.Request, _: Quirks) -> web.Response:
        return web.Response(text=FUNDS_HEADER, content_type="text/csv")
