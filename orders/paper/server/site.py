"""The whole application: Kite's routes, its WebSocket, and under /paper/ the routes that steer it."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from orders.paper.exchange.gtt_desk import GttDesk
from orders.paper.server.app import BODY_BYTES_MAX, Door, PaperKite, in_envelope
from orders.paper.server.calculator_routes import CalculatorRoutes
from orders.paper.server.control import Control
from orders.paper.server.gtt_routes import GttRoutes
from orders.paper.server.market_routes import MarketRoutes
from orders.paper.server.order_routes import OrderRoutes
from orders.paper.server.portfolio_routes import PortfolioRoutes
from orders.paper.server.quiet_routes import QuietRoutes
from orders.paper.server.session_routes import SessionRoutes
from orders.paper.server.updates import Updates


@dataclass(frozen=True, kw_only=True)
class Site:
    app: web.Application
    paper: PaperKite
    updates: Updates


def build_site(paper: PaperKite, *, redirect_url: str | None = None, postback_url: str | None = None) -> Site:
    """Put the application together; the page after a login and the address of postbacks are the client's."""
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[in_envelope])
    door = Door(paper)
    exchange, clock = paper.exchange, paper.clock
    updates = Updates(paper, postback_url)
    updates.attach(app)
    sessions = SessionRoutes(paper.logins, clock, redirect_url, on_logout=updates.stream.let_go)
    door.add(app, sessions.public_routes(), guarded=False)
    for group in (
        sessions,
        OrderRoutes(exchange, clock),
        PortfolioRoutes(exchange, clock),
        GttRoutes(exchange, GttDesk(exchange), clock),
        MarketRoutes(exchange.market, clock, exchange.profile),
        CalculatorRoutes(exchange, clock),
        QuietRoutes(),
    ):
        door.add(app, group.routes())
    Control(paper, door, updates).add_to(app)
    app.on_cleanup.append(door.forget_late)
    return Site(app=app, paper=paper, updates=updates)
