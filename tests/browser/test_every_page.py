"""Every page of a full day, large and light, small and dark: nothing for axe-core to find, nothing too wide."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .pages import Shown, further_pages, pages_of_the_day, report_of_the_day
from .staged_day import StagedDay
from .watching import LARGE_LIGHT, SMALL_DARK, Person, Screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("screen", [LARGE_LIGHT, SMALL_DARK], ids=str)
def test_every_page_of_a_full_day_is_clean(staged_day: StagedDay, person: Callable[..., Person], screen: Screen):
    tara = person(screen, "tara")

    wrong = [seen for shown in [*pages_of_the_day(), *further_pages()] for seen in see(tara, shown)]
    staged_day.end()
    wrong += see(tara, report_of_the_day())

    assert wrong == []


def see(somebody: Person, shown: Shown) -> list[str]:
    somebody.show(shown)
    wrong = [f"{shown.name}: {each}" for each in somebody.wrong()]
    somebody.complaints.clear()
    return wrong
