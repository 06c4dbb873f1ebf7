"""
Somebody at a screen, and what the browser says meanwhile.

Each page that is looked at must be free of what axe-core finds against WCAG 2.1 A and AA, and no wider than the screen;
at the end the browser must have complained of nothing: on its console, about the content policy, about a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import BrowserContext, Locator, Page, Request, Response, expect

from .pages import Shown

REPORT = """document.addEventListener('securitypolicyviolation', event =>
    console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`))"""
# A page that is left ends what it was still asking for.
LEFT = "net::ERR_ABORTED"
# What is moving is judged where it comes to rest.
AT_REST = """() => Promise.all(document.getAnimations().map(each => each.finished.catch(() => 0)))"""
SIDEBAR = ["#nav-sidebar"]  # the same on every page: once is enough
ALIKE = ["#result_list > tbody:nth-of-type(n+14)", ".desk-table > tbody > tr:nth-child(n+14)"]  # one row is as another
AXE_RUN = """without => axe.run({exclude: without.map(each => [each])}, {
    resultTypes: ["violations"],
    preload: false,
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'],
})"""
TOO_WIDE = "() => document.documentElement.scrollWidth > window.innerWidth"


@dataclass(frozen=True, kw_only=True)
class Screen:
    """How large, and light or dark."""

    width: int
    height: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"


LARGE_DARK = Screen(width=1400, height=900, scheme="dark")
LARGE_LIGHT = Screen(width=1400, height=900, scheme="light")
SMALL_DARK = Screen(width=390, height=844, scheme="dark")
SMALL_LIGHT = Screen(width=390, height=844, scheme="light")


class Person:
    """One person's browser. `page` is theirs to drive; `complaints` is what the browser told."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page: Page = context.new_page()
        self.context, self.address = context, f"{address}/admin/"
        self.complaints: list[str] = []
        self._has_seen_the_sidebar = False
        self.page.add_init_script(REPORT)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._asked: set[Request] = set()
        self.page.on("request", lambda request: self._asked.add(request))
        self.page.on("requestfinished", lambda request: self._asked.discard(request))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def log_in(self, user: User) -> None:
        """Log in without the form."""
        client = Client()
        client.force_login(user)
        cookie = client.cookies["sessionid"]
        self.context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": self.address}])

    def open(self, path: str) -> None:
        """Open a page by its path below /admin/, and look at it."""
        self.page.goto(self.address + path)
        self.look()

    def show(self, shown: Shown) -> None:
        """Open the page, write what belongs in it, and press the button of its dialog."""
        self.page.goto(self.address + shown.path)
        for label, value in shown.writes:
            self.page.get_by_label(label).fill(value)
        if shown.waits_for:
            expect(self.page.locator("#main").get_by_text(shown.waits_for).first).to_be_visible()
        if shown.opens:
            self.press(shown.opens)

    def press(self, action: str) -> Locator:
        """Press the button of an action and return its dialog."""
        button = self.page.get_by_role("link", name=action, exact=True)
        button = button.or_(self.page.get_by_role("button", name=action, exact=True))
        more = self.page.get_by_role("link", name="More actions", exact=True)
        expect(button.or_(more).locator("visible=true").first).to_be_visible()
        if more.is_visible() and not button.first.is_visible():
            more.click()  # a phone has the actions behind it
        button.first.click()
        dialog = self.page.locator("#dialog")
        expect(dialog).to_be_visible()
        return dialog

    def answer(self, button: str, **fields: str) -> None:
        """Fill in the dialog that is open, by its fields' names, look at it, and send it."""
        dialog = self.page.locator("#dialog")
        for name, value in fields.items():
            dialog.locator(f"[name={name}]").fill(value)
        self.look()
        dialog.get_by_role("button", name=button, exact=True).click()
        expect(dialog).to_be_hidden()

    def look(self) -> None:
        """Find nothing wrong with the page that is shown."""
        wrong = self.wrong()
        assert not wrong, f"{self.page.url}: {wrong}"

    def wrong(self) -> list[str]:
        """Return what is wrong with the page that is shown, and what the browser has complained of so far."""
        self.page.evaluate(AT_REST)
        self.page.evaluate(AXE_SCRIPT)  # through the debugger's door, which the page's content policy does not close
        violations = self.page.evaluate(AXE_RUN, ALIKE + (SIDEBAR if self._has_seen_the_sidebar else []))["violations"]
        self._has_seen_the_sidebar = True
        wrong = [
            f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
            for each in violations
            for node in each["nodes"]
        ]
        if self.page.evaluate(TOO_WIDE):
            wrong.append("it is wider than the screen")
        return wrong + self.complaints

    def leave(self) -> None:
        """Close the page once everything that it asked for is answered: nothing may hold a lock at the test's end."""
        while self._asked:
            self.page.wait_for_timeout(20)
        self.page.close()

    def _said(self, line: Any) -> None:
        if line.type in {"error", "warning"}:
            self.complaints.append(line.text)

    def _failed(self, request: Request) -> None:
        self._asked.discard(request)
        if request.failure != LEFT:
            self.complaints.append(f"{request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")
