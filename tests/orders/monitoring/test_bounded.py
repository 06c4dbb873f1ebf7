"""Who asks a server that hangs goes on in time, and nobody asks it a second time meanwhile."""

from __future__ import annotations

import threading
import time

import pytest

from orders.monitoring.bounded import Bounded, NoAnswer


class Server:
    """Answers when it is let; counts how often it was asked."""

    def __init__(self) -> None:
        self.lets = threading.Event()
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        assert self.lets.wait(20)
        return self.asked


def test_an_answer_is_kept_for_its_seconds_and_then_asked_for_anew():
    server, now = Server(), [100.0]
    server.lets.set()
    question = Bounded(server, within_seconds=20, keep_seconds=5, stopwatch=lambda: now[0])

    answers = [question.answer()]
    now[0] += 4.9
    answers.append(question.answer())
    now[0] += 0.1
    answers.append(question.answer())

    assert answers == [1, 1, 2]


def test_one_that_hangs_is_asked_once_and_makes_only_the_first_wait():
    server = Server()
    question = Bounded(server, within_seconds=0.2)

    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(NoAnswer, match="no answer for "):
            question.answer()
    took = time.monotonic() - began

    assert took < 3  # twenty times 0.2 would be four
    assert server.asked == 1
    server.lets.set()
    assert question.begin().wait(lambda: 0.0) == 1
    assert question.answer() == 2


def test_what_it_raises_is_raised_where_the_answer_is_waited_for():
    def refuse() -> int:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError, match="refused"):
        Bounded(refuse, within_seconds=20).answer()


def test_many_who_ask_at_once_are_one_question():
    server = Server()
    question = Bounded(server, within_seconds=20, keep_seconds=20)
    answers: list[int] = []
    askers = [threading.Thread(target=lambda: answers.append(question.answer())) for _ in range(8)]

    for asker in askers:
        asker.start()
    server.lets.set()
    for asker in askers:
        asker.join(20)

    assert answers == [1] * 8
