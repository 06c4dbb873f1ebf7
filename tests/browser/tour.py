"""
Pictures of each page of a staged day for `docs/tour/`, and the page that shows them: `make tour`.

It is a test only in that it borrows the suite's servers; pytest does not collect it by itself. PAGES names those to
take alone, with commas between; then the page is left as it is.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from .pages import Shown, pages_of_the_day, report_of_the_day
from .staged_day import StagedDay
from .watching import LARGE_DARK, LARGE_LIGHT, SMALL_DARK, SMALL_LIGHT, Person, Screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
FOLDER = Path(__file__).resolve().parents[2] / "docs/tour"
QUALITY = 64
# The caret would blink, and what is drawn late has its quarter of a second.
SETTLED = """async () => {
    document.activeElement?.blur();
    await document.fonts.ready;
    await new Promise(done => setTimeout(done, 250));
}"""
SCREENS = {"large": LARGE_LIGHT, "large-dark": LARGE_DARK, "phone": SMALL_LIGHT, "phone-dark": SMALL_DARK}


@pytest.fixture
def step() -> timedelta:
    return timedelta(minutes=4)


def test_tour(staged_day: StagedDay, person: Callable[[Screen, str], Person]) -> None:
    wanted = [name for name in os.environ.get("PAGES", "").split(",") if name]
    people = {name: person(screen, "tara") for name, screen in SCREENS.items()}
    FOLDER.mkdir(parents=True, exist_ok=True)

    pages = pages_of_the_day()
    for shown in pages:
        if not wanted or shown.name in wanted:
            take(people, shown)
    staged_day.end()
    report = report_of_the_day()
    if not wanted or report.name in wanted:
        take(people, report)
    if not wanted:
        (FOLDER / "README.md").write_text(as_page([*pages, report]))


def take(people: dict[str, Person], shown: Shown) -> None:
    for kind, somebody in people.items():
        page = somebody.page
        somebody.show(shown)
        page.evaluate(SETTLED)
        session = somebody.context.new_cdp_session(page)
        picture = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
        session.detach()
        (FOLDER / f"{shown.name}-{kind}.webp").write_bytes(base64.b64decode(picture["data"]))
        assert somebody.complaints == [], shown.name


def as_page(pages: list[Shown]) -> str:
    """Return the page of all pictures, in Markdown."""
    lines = [
        "# A look around",
        "",
        "Every page on one staged day on paper, made by `make tour`. All of them follow the browser's light or dark.",
    ]
    for shown in pages:
        title = shown.name.replace("-", " ").capitalize()
        lines += ["", f"## {title}", "", shown.says, ""]
        large, phone = f"{shown.name}-large", f"{shown.name}-phone"
        lines += [
            f'<img src="{large}.webp" width="49%" alt="{title}, light">',
            f'<img src="{large}-dark.webp" width="49%" alt="{title}, dark">',
            "",
            f'<img src="{phone}.webp" width="24%" alt="{title} on a phone, light">',
            f'<img src="{phone}-dark.webp" width="24%" alt="{title} on a phone, dark">',
        ]
    return "\n".join(lines) + "\n"
