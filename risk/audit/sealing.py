"""
The seals: a chain of digests over the trail, outside the way of orders, and its check.

A seal takes the entries of transactions that ended: each whose number is below the oldest one still running, from where
the seal before left off. By transactions and not by the entries' ids, because an entry with a lower id may be committed
after one with a higher: it falls to a later seal, and none is ever forgotten. A transaction's number means nothing in a
database restored into another cluster: there the chain goes on with what follows the last sealed entry.

What a seal keeps of every entry names the one that was changed. Whoever can rewrite the whole chain is found by its
head only, where that was kept elsewhere: it is logged each time.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from django.db import connection, transaction

from risk.models import AuditEntry, AuditSeal

log = structlog.get_logger(__name__)

BEGINNING = "0" * 64
ENTRIES_A_SEAL_MAX = 2000  # 80 KB; spelled out in a statement it is held some ten times over, in the executor
FINDINGS_MAX = 20
BEFORE_THE_FIRST = -(2**63)  # a forged entry may have any id
_ONE_AT_A_TIME = 0x5EA1  # an advisory lock: two sealers would fork the chain
_PACKED = struct.Struct(">q32s")
# Every column, in an order and a form that no setting of the session changes.
_LEAF = (
    "sha256(convert_to(jsonb_build_array(id, extract(epoch FROM at), table_name, row_pk, operation, changes, actor,"
    " reason, request_id, database_user, application_name, backend_pid, transaction_id)::text, 'UTF8'))"
)


@dataclass
class Audit:
    """What a check of the trail found. `head` is the digest of the last seal."""

    entries: int = 0
    seals: int = 0
    unsealed: int = 0
    head: str = BEGINNING
    findings: list[str] = field(default_factory=list)


def seal(*, now: datetime) -> list[AuditSeal]:
    """Seal what is settled and not sealed yet; return the new seals, none where there is nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
        last = AuditSeal.objects.defer("entries").order_by("-id").first()
        cursor.execute(
            "SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint"
            " FROM pg_current_snapshot() AS now"
        )
        up_to, unborn = cursor.fetchone()
        seals = []
        for packed in _settled(last, up_to, unborn):
            last = _after(last, packed, up_to=up_to, now=now)
            del last.entries  # read again by whoever asks: after an outage there are a great many seals
            seals.append(last)
    for each in seals:
        log.info("audit.sealed", seal=each.pk, entries=each.count, last_entry=each.last_entry, head=each.digest)
    return seals


def _settled(last: AuditSeal | None, up_to: int, unborn: int) -> Iterator[bytes]:
    """Yield the packed entries of each next seal, oldest first."""
    since = last.up_to_transaction if last else 0
    highest = AuditSeal.objects.order_by("-last_entry").values_list("last_entry", flat=True).first() or 0
    if up_to >= since:
        unsealed, values = "transaction_id >= %s AND transaction_id < %s", [since, up_to]
    else:  # another cluster, whose count began anew; what seems to come of the future is of the one before
        unsealed = "(id > %s OR transaction_id >= %s) AND (transaction_id < %s OR transaction_id >= %s)"
        values = [highest, since, up_to, unborn]
    after = BEFORE_THE_FIRST
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT string_agg(int8send(id) || {_LEAF}, '' ORDER BY id), max(id) FROM"  # noqa: S608 - no stranger's
                f" (SELECT * FROM risk_auditentry WHERE {unsealed} AND id > %s ORDER BY id LIMIT %s)"
                " AS next",
                [*values, after, ENTRIES_A_SEAL_MAX],
            )
            packed, after = cursor.fetchone()
        if packed is None:
            return
        yield bytes(packed)


def _after(last: AuditSeal | None, packed: bytes, *, up_to: int, now: datetime) -> AuditSeal:
    ids = [number for number, _ in _PACKED.iter_unpack(packed)]
    link = AuditSeal(
        at=now,
        first_entry=ids[0],
        last_entry=ids[-1],
        count=len(ids),
        from_transaction=last.up_to_transaction if last else 0,
        up_to_transaction=up_to,
        entries=packed,
        previous=last.digest if last else BEGINNING,
    )
    link.digest = _digest(link)
    link.save(force_insert=True)
    return link


def _digest(link: AuditSeal) -> str:
    header = [link.previous, link.at.astimezone(UTC).isoformat(), link.first_entry, link.last_entry, link.count]
    header += [link.from_transaction, link.up_to_transaction]
    return hashlib.sha256("|".join(map(str, header)).encode() + bytes(link.entries)).hexdigest()


def verify(*, since: datetime | None = None, known_head: str = "") -> Audit:
    """
    Compare every sealed entry with its seal, and every seal with the one before, one seal at a time.

    `since` leaves out the seals before; `known_head` is a head that was kept elsewhere and must be in the chain. At
    most `FINDINGS_MAX` findings are told.
    """
    check = _Check(since, known_head)
    while (link := check.next_seal()) is not None and len(check.audit.findings) < FINDINGS_MAX:
        check.compare(link)
    if link is None:
        check.finish()
    return check.audit


class _Check:
    """Goes along the chain. Keeps the entries it met in the range of a seal that does not hold them: another must."""

    def __init__(self, since: datetime | None, known_head: str) -> None:
        self.audit = Audit()
        self._known_head = known_head
        self._last: AuditSeal | None = None
        self._highest = BEFORE_THE_FIRST
        self._unclaimed: set[int] = set()
        if since is not None:
            before = AuditSeal.objects.filter(at__lt=since)
            self._last = before.order_by("-id").first()
            self._highest = before.order_by("-last_entry").values_list("last_entry", flat=True).first() or 0
            self._see_head()

    def next_seal(self) -> AuditSeal | None:
        later = AuditSeal.objects.filter(id__gt=self._last.pk if self._last else 0)
        return later.order_by("id").first()

    def compare(self, link: AuditSeal) -> None:
        before, self._last = self._last, link
        if link.previous != (before.digest if before else BEGINNING):
            self._find(f"{link}: the seal before it is missing, or is not the one that it follows")
        if link.digest != _digest(link):
            self._find(f"{link}: it is not as it was made")
        sealed: dict[int, bytes] = dict(_PACKED.iter_unpack(bytes(link.entries)))
        found = self._stored(link, [number for number in sealed if number <= self._highest])
        for number, leaf in sealed.items():
            if found.get(number) != leaf:
                what = "is not as it was" if number in found else "is gone"
                self._find(f"entry {number} {what}: {link} had sealed it")
        self._unclaimed |= found.keys()
        self._unclaimed -= sealed.keys()
        self._highest = max(self._highest, link.last_entry)
        self.audit.seals += 1
        self.audit.entries += len(sealed)
        self._see_head()

    def finish(self) -> None:
        """Judge what no seal holds: it must be younger than the last one."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM risk_auditentry WHERE id = ANY(%s) AND transaction_id < %s ORDER BY id LIMIT %s",
                [sorted(self._unclaimed), self._last.up_to_transaction if self._last else 0, FINDINGS_MAX],
            )
            for (number,) in cursor.fetchall():
                self._find(f"entry {number} was put among sealed ones: no seal holds it")
        unsealed = AuditEntry.objects.filter(id__gt=self._highest).count() + len(self._unclaimed)
        self.audit.unsealed = unsealed
        if self._known_head:
            self._find(f"the head {self._known_head} is not in the chain: what it sealed was replaced or removed")

    def _stored(self, link: AuditSeal, late: list[int]) -> dict[int, bytes]:
        """Return the digests of the entries up to the seal's last as they are now, from where the check left off."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, {_LEAF} FROM risk_auditentry WHERE id > %s AND id <= %s OR id = ANY(%s)",  # noqa: S608
                [self._highest, link.last_entry, late],
            )
            return {number: bytes(leaf) for number, leaf in cursor}

    def _see_head(self) -> None:
        if self._last is not None:
            self.audit.head = self._last.digest
            if self._last.digest == self._known_head:
                self._known_head = ""

    def _find(self, what: str) -> None:
        if len(self.audit.findings) < FINDINGS_MAX:
            self.audit.findings.append(what)
