"""
One trip to PostgreSQL and back, for all that is asked together, with the beginning of its transaction.

psycopg's own pipeline looks for answers after each statement, and waits for that of BEGIN before the first: asking so
takes a fifth of a decision's processor time. Here nobody looks before all of it was sent. What psycopg keeps of the
statements that were prepared stays true: it is asked, and told, as its cursors do.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import generators
from psycopg._preparing import Prepare
from psycopg.abc import PQGen
from psycopg.adapt import AdaptersMap, PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from risk.prepared import numbered

Rows = list[tuple[Any, ...]]

PLANNED_ONCE = b"SET LOCAL plan_cache_mode = force_generic_plan"
FLUSHED_TOGETHER = 4  # statements: PostgreSQL is at the first ones while the others are still put together


class _Statement(NamedTuple):
    """What psycopg knows a prepared statement by."""

    query: bytes
    types: tuple[int, ...]


class _Asked(NamedTuple):
    """One statement that was sent: under which name, and which of all answers is its own."""

    statement: _Statement
    how: Prepare
    name: bytes
    answer: int


class Trip:
    """Statements that go together. What each told is there after `end`."""

    def __init__(self, line: psycopg.Connection[Any], adapters: AdaptersMap, *, planned_once: bool = False) -> None:
        """
        Begin it, and the transaction where one is to begin. The line takes nothing else before the end.

        In a transaction that begins here what is `planned_once` has one plan, for any values.
        """
        self._line, self._pgconn, self._known = line, line.pgconn, line._prepared  # noqa: SLF001 - as its cursors do
        self._values = Transformer(_Context(line, adapters))
        self._asked: list[_Asked] = []
        self._answers = 0
        self._told: list[Rows] | None = None
        if self._pgconn.pipeline_status != PipelineStatus.OFF:
            raise psycopg.InterfaceError("another trip was not ended")
        begins = not line.autocommit and self._pgconn.transaction_status == TransactionStatus.IDLE
        with self._finished_by_trouble():
            self._pgconn.enter_pipeline_mode()
            if begins:
                self._pgconn.send_query_params(line._get_tx_start_command(), None)  # noqa: SLF001 - likewise
                self._answers += 1
                if planned_once:
                    self._pgconn.send_query_params(PLANNED_ONCE, None)
                    self._answers += 1

    def ask(self, sql: str, values: Sequence[Any]) -> Callable[[], Rows]:
        """Send a statement with %s for its values. What is returned tells its rows, once the trip has ended."""
        dumped = self._values.dump_sequence(values, [PyFormat.AUTO] * len(values))
        statement = _Statement(numbered(sql), self._values.types or ())
        how, name = self._known.get(statement, True)  # type: ignore[arg-type]
        if how is Prepare.NO:
            raise psycopg.InterfaceError("nothing is prepared while `prepare_threshold` is None")
        if how is Prepare.SHOULD:
            self._pgconn.send_prepare(name, statement.query, param_types=statement.types)
            self._answers += 1
        self._pgconn.send_query_prepared(name, dumped, param_formats=self._values.formats)
        self._known.maybe_add_to_cache(statement, how, name)  # type: ignore[arg-type]
        place = len(self._asked)
        self._asked.append(_Asked(statement, how, name, self._answers))
        self._answers += 1
        if place % FLUSHED_TOGETHER == 0:
            self._pgconn.flush()

        def rows() -> Rows:
            assert self._told is not None, "what is asked together is told after it"
            return self._told[place]

        return rows

    def end(self) -> None:
        """Wait for all answers. Raise what psycopg raises, for the first that went wrong."""
        self._told = [self._rows(answer) for answer in self._answered()]

    def give_up(self) -> None:
        """End it all the same; whatever comes of that, what made it necessary is to be told."""
        with contextlib.suppress(psycopg.Error):
            self._answered()

    def _answered(self) -> list[PGresult]:
        with self._line.lock:
            return self._line.wait(self._back())

    def _back(self) -> PQGen[list[PGresult]]:
        with self._finished_by_trouble():
            answers = yield from generators.pipeline_communicate(self._pgconn, deque([self._pgconn.pipeline_sync]))
            while not answers or answers[-1][-1].status != ExecStatus.PIPELINE_SYNC:
                answers.append((yield from generators.fetch_many(self._pgconn)))
            self._pgconn.exit_pipeline_mode()
            failed = next(
                (each for answer in answers for each in answer if each.status == ExecStatus.FATAL_ERROR), None
            )
            if failed is None and len(answers) != self._answers + 1:
                raise psycopg.InterfaceError(f"{self._answers} statements had {len(answers) - 1} answers")
        # Of a trip that failed it is not known what was prepared: all that was new is prepared again.
        for asked in self._asked:
            if asked.how is Prepare.SHOULD:
                of_it = answers[asked.answer] if failed is None else []
                self._known.validate(asked.statement, asked.how, asked.name, of_it)
        if failed is not None:
            raise error_from_result(failed, encoding=self._line.info.encoding)
        yield from self._known.maintain_gen(self._line)
        return [answers[asked.answer][-1] for asked in self._asked]

    @contextlib.contextmanager
    def _finished_by_trouble(self) -> Iterator[None]:
        """Close a line whose answers nobody reads any more: the next who asked would be told them."""
        try:
            yield
        except BaseException:
            self._pgconn.finish()
            raise

    def _rows(self, result: PGresult) -> Rows:
        self._values.set_pgresult(result)
        return self._values.load_rows(0, result.ntuples, tuple)


class _Context(NamedTuple):
    """By what values are read and written."""

    connection: psycopg.Connection[Any]
    adapters: AdaptersMap
