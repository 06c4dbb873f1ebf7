"""
The triggers that write the trail and guard it: how they read, which must be there, and putting them there.

They are set after every `migrate`, from `risk.audit.coverage`, and looked after by the executor and `verify_audit`: a
trigger that was dropped, switched off, narrowed or given another body is found, and so is what was put beside ours on
the tables of the trail. What guards a table against `TRUNCATE` guards it against everyone, the table's owner and
Django's `flush` included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pgtrigger
import structlog
from django.apps import apps
from django.db import connection
from django.db.models import Model

from risk.audit.coverage import COVERED, SECRETS, Cover
from risk.models import AuditEntry, AuditSeal

log = structlog.get_logger(__name__)

# The arguments of the trigger: the primary key's column, the masked columns, the unwatched ones. The comment of
# `risk.audit.who` is looked for at the statement's beginning only: nothing that a person typed can stand there.
_WRITE_ENTRY = """
DECLARE
    masked text[] := string_to_array(TG_ARGV[1], ',');
    unwatched text[] := string_to_array(TG_ARGV[2], ',');
    before jsonb;
    after jsonb;
    changed jsonb;
    said text;
    words jsonb := '{}';
BEGIN
    IF TG_OP <> 'INSERT' THEN
        before := to_jsonb(OLD) - unwatched;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := to_jsonb(NEW) - unwatched;
    END IF;
    IF before = after THEN
        RETURN NULL;
    END IF;
    said := left(current_query(), 8200);
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(key, CASE WHEN key = ANY (masked) THEN '["…", "…"]'
                                          ELSE jsonb_build_array(before -> key, value) END)
        INTO changed FROM jsonb_each(after) WHERE value IS DISTINCT FROM before -> key;
    ELSE
        SELECT jsonb_object_agg(key, CASE WHEN key = ANY (masked) AND value NOT IN ('null', '""') THEN '"…"'
                                          ELSE value END)
        INTO changed FROM jsonb_each(COALESCE(after, before));
    END IF;
    IF starts_with(said, '/*desk ') THEN
        words := substr(said, 8, position('*/' IN said) - 8);
    END IF;
    INSERT INTO risk_auditentry (at, table_name, row_pk, operation, changes, actor, reason, request_id, database_user,
                                 application_name, backend_pid, transaction_id)
    VALUES (clock_timestamp(), TG_TABLE_NAME, left(COALESCE(before, after) ->> TG_ARGV[0], 100), TG_OP, changed,
            COALESCE(words ->> 'actor', 'raw SQL: ' || session_user), COALESCE(words ->> 'reason', ''),
            left(COALESCE(words ->> 'request', ''), 32), session_user, current_setting('application_name'),
            pg_backend_pid(), pg_current_xact_id()::text::bigint);
    RETURN NULL;
END;
"""
_REFUSE = """
BEGIN
    RAISE EXCEPTION '% of % is refused: it is kept as it was written', TG_OP, TG_TABLE_NAME;
END;
"""
FUNCTIONS = {"audit_write_entry": _WRITE_ENTRY, "audit_refuse": _REFUSE}

# The bits of pg_trigger.tgtype.
_ROW, _BEFORE, _INSERT, _DELETE, _UPDATE, _TRUNCATE = 1, 2, 4, 8, 16, 32


@dataclass(frozen=True)
class Trigger:
    """A trigger as it must be; `kind` is pg_trigger.tgtype."""

    table: str
    name: str
    kind: int
    function: str
    arguments: tuple[str, ...] = ()
    condition: str = ""

    def sql(self) -> str:
        """Return the statement that creates it."""
        moment = "BEFORE" if self.kind & _BEFORE else "AFTER"
        bits = {_INSERT: "INSERT", _UPDATE: "UPDATE", _DELETE: "DELETE", _TRUNCATE: "TRUNCATE"}
        events = " OR ".join(word for bit, word in bits.items() if self.kind & bit)
        each = "ROW" if self.kind & _ROW else "STATEMENT"
        condition = f"WHEN ({self.condition}) " if self.condition else ""
        arguments = ", ".join(f"'{argument}'" for argument in self.arguments)
        table = connection.ops.quote_name(self.table)
        return (
            f"CREATE OR REPLACE TRIGGER {self.name} {moment} {events} ON {table} FOR EACH {each} {condition}"
            f"EXECUTE FUNCTION {self.function}({arguments})"
        )


def expected() -> list[Trigger]:
    """Return every trigger of the trail that must be there."""
    return [
        *(trigger for label, cover in COVERED.items() for trigger in _covering(apps.get_model(label), cover)),
        *(trigger for model in (AuditEntry, AuditSeal) for trigger in _guarding(_table(model))),
        # Only a trigger writes an entry.
        Trigger(
            _table(AuditEntry),
            "audit_written_by_triggers",
            _ROW | _BEFORE | _INSERT,
            "audit_refuse",
            condition="pg_trigger_depth() < 1",
        ),
    ]


def _table(model: type[Model] | Model) -> str:
    return str(model._meta.db_table)  # noqa: SLF001 - Django's own way to ask a model about its table


def _covering(model: type[Model], cover: Cover) -> Iterator[Trigger]:
    options = model._meta  # noqa: SLF001 - Django's own way to ask a model about its table
    table = options.db_table
    columns = {str(field.column) for field in options.concrete_fields}
    masked = sorted(columns.intersection(SECRETS) | set(cover.masked))
    assert columns.issuperset([*cover.masked, *cover.unwatched]), f"{table} has no such column"
    kind = _ROW | _UPDATE | _DELETE | (_INSERT if cover.inserts else 0)
    arguments = (str(options.pk.column), ",".join(masked), ",".join(cover.unwatched))
    yield Trigger(table, "audit_entry", kind, "audit_write_entry", arguments)
    yield Trigger(table, "audit_no_truncate", _BEFORE | _TRUNCATE, "audit_refuse")


def _guarding(table: str) -> Iterator[Trigger]:
    yield Trigger(table, "audit_no_change", _BEFORE | _UPDATE | _DELETE, "audit_refuse")
    yield Trigger(table, "audit_no_truncate", _BEFORE | _TRUNCATE, "audit_refuse")


def install() -> list[str]:
    """Put in place what is missing or not as it must be, and return what that was. Changes nothing otherwise."""
    tables = set(connection.introspection.table_names())
    if not tables.issuperset([_table(AuditEntry), _table(AuditSeal)]):
        return []  # only some apps were migrated, or back to nothing
    functions = _functions_missing()
    there = _there()
    wanted = [trigger for trigger in expected() if trigger.table in tables and not _is_right(trigger, there)]
    with connection.cursor() as cursor:
        for name in functions:
            head = f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET {_path()}"
            cursor.execute(f"{head} AS $${FUNCTIONS[name]}$$")
        for trigger in wanted:
            cursor.execute(trigger.sql())
            cursor.execute(f"ALTER TABLE {connection.ops.quote_name(trigger.table)} ENABLE TRIGGER {trigger.name}")
    put = [*functions, *(f"{trigger.name} of {trigger.table}" for trigger in wanted)]
    if put and AuditEntry.objects.exists():  # a new table, or a hole that was there for who knows how long
        log.warning("audit.protected", count=len(put), first=put[0])
    return put


def missing() -> list[str]:
    """Return, in words, each trigger that protects what is kept and is not there, or not as it must be."""
    there = _there()
    return [
        *(f"the function {name}" for name in _functions_missing()),
        *(f"the trigger {each.name} of {each.table}" for each in expected() if not _is_right(each, there)),
        *_missing_append_only(there),
    ]


def strange() -> list[str]:
    """Return, in words, what stands on the tables of the trail that is not ours: it could bend or swallow entries."""
    tables = [_table(AuditEntry), _table(AuditSeal)]
    ours = {(each.table, each.name) for each in expected()}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, rulename FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class"
            " WHERE relname = ANY(%s) AND pg_table_is_visible(ev_class)",
            [tables],
        )
        rules = cursor.fetchall()
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND pg_table_is_visible(oid)"
            " AND (relkind <> 'r' OR relpersistence <> 'p' OR relrowsecurity OR relhassubclass OR relispartition)",
            [tables],
        )
        odd = cursor.fetchall()
    beside_ours = ((table, name) for table, name in _there() if table in tables and (table, name) not in ours)
    return [
        *(f"the trigger {name} of {table} is not ours" for table, name in beside_ours),
        *(f"the rule {name} of {table} is not ours" for table, name in rules),
        *(f"{table} is no plain table: it may hide or lose rows" for (table,) in odd),
    ]


@dataclass(frozen=True)
class _Found:
    kind: int
    function: str
    arguments: bytes | memoryview
    enabled: str
    condition: str
    some_columns: bool
    refuses: bool


def _there() -> dict[tuple[str, str], _Found]:
    """Return the triggers that are there, by table and name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, tgname, tgtype, proname, tgargs, tgenabled,"
            " CASE WHEN tgqual IS NULL THEN '' ELSE pg_get_triggerdef(pg_trigger.oid) END, tgattr::text <> '',"
            " position('RAISE EXCEPTION' IN prosrc) > 0"
            " FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid"
            " WHERE NOT tgisinternal AND pg_table_is_visible(tgrelid)"
        )
        return {(table, name): _Found(*facts) for table, name, *facts in cursor}


def _is_right(trigger: Trigger, there: dict[tuple[str, str], _Found]) -> bool:
    found = there.get((trigger.table, trigger.name))
    if found is None or found.some_columns or found.enabled not in ("O", "A"):
        return False
    arguments = b"".join(argument.encode() + b"\x00" for argument in trigger.arguments)
    if trigger.condition and f"WHEN (({trigger.condition})) " not in found.condition:
        return False
    wanted = (trigger.kind, trigger.function, arguments, bool(trigger.condition))
    return (found.kind, found.function, bytes(found.arguments), bool(found.condition)) == wanted


def _missing_append_only(there: dict[tuple[str, str], _Found]) -> Iterator[str]:
    """Yield the protections of append-only tables that are not there."""
    for model, trigger in pgtrigger.registered():
        found = there.get((_table(model), trigger.get_pgid(model)))
        if found is None or found.enabled not in ("O", "A") or not found.refuses:
            yield f"the trigger {trigger.name} of {_table(model)}"


def _functions_missing() -> list[str]:
    """Return the names of our functions that are not there, or not as they must be."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, md5(prosrc), proconfig FROM pg_proc"
            " WHERE proname = ANY(%s) AND pg_function_is_visible(oid)",
            [list(FUNCTIONS)],
        )
        there = {name: (digest, config) for name, digest, config in cursor}
    path = [_path().replace(" = ", "=")]
    return [name for name, body in FUNCTIONS.items() if there.get(name) != (_digest(body), path)]


def _path() -> str:
    """
    Return where our functions look for what they name: never where the session that fires them would have them look.

    Else a temporary table of the trail's name would take that session's entries, and be gone with it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE relname = %s AND relpersistence <> 't' AND pg_table_is_visible(pg_class.oid)",
            [_table(AuditEntry)],
        )
        (schema,) = cursor.fetchone()
    return f"search_path = pg_catalog, {schema}, pg_temp"


def _digest(body: str) -> str:
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
