"""
Which tables the trail covers: one line a table here is all it takes, `manage.py migrate` sets its trigger.

Every table of the project is here or in `EXEMPT`, with its reason. `TRUNCATE` is refused on all that are covered.
"""

from __future__ import annotations

from dataclasses import dataclass

# Masked wherever a table has one.
SECRETS = frozenset(
    {"password", "access_token", "request_token", "api_key", "api_secret", "secret", "key", "session_key"}
)


@dataclass(frozen=True, kw_only=True)
class Cover:
    """
    How a table is covered.

    A change of nothing but `unwatched` columns is no entry: they say how fresh a row is, and change every second.
    `masked` columns show that they changed and not to what. `inserts` is off where the row itself is the record of its
    own coming, and comes on the way of every order.
    """

    inserts: bool = True
    unwatched: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()


ALL = Cover()
LATER = Cover(inserts=False)

COVERED: dict[str, Cover] = {
    # --- The book -----------------------------------------------------------------------------------------------------
    "orders.Order": Cover(unwatched=("book_as_of", "cancel_tried_at")),
    "orders.Fill": ALL,
    "orders.Adjustment": ALL,
    "orders.OrderModification": ALL,
    "orders.Flatten": ALL,
    "orders.FlattenedPosition": ALL,
    "orders.EndOfDay": Cover(inserts=False, masked=("figures", "sections")),  # large, once a day, and append-only
    "orders.MissedExit": ALL,
    "orders.GoingLiveStep": ALL,
    "orders.LineProof": ALL,
    "orders.LineProofStage": LATER,
    "orders.ShadowQuote": LATER,
    "orders.Position": Cover(unwatched=("broker_as_of", "last_price", "close_price", "updated_at")),
    # Append-only, large, and written for every signal: their own rows are the record, only tampering is an entry.
    "orders.Decision": Cover(inserts=False, masked=("facts", "verdicts")),
    "orders.OrderEvent": LATER,
    "orders.BrokerMessage": Cover(inserts=False, masked=("text",)),
    # The row comes as it was received; why it waits is rewritten while it does.
    "orders.Signal": Cover(inserts=False, unwatched=("reason", "duplicates"), masked=("raw",)),
    # --- The broker ---------------------------------------------------------------------------------------------------
    "orders.BrokerSession": Cover(
        unwatched=(
            "reconciled_at",
            "postback_at",
            "last_error",
            "stream_heard_at",
            "stream_connects",
            "funds",
            "funds_at",
        ),
        masked=("environment_token_digest",),
    ),
    "orders.ApiToken": Cover(
        unwatched=("last_used_at", "last_used_from", "spent_until", "stops_spent_until"), masked=("digest",)
    ),
    "orders.LoginAttempt": Cover(masked=("state_digest", "session_digest")),
    # Read anew every day, thousands at once: what changed since the day before is an entry.
    "orders.Instrument": Cover(inserts=False, unwatched=("read_at",)),
    # --- The risk desk ------------------------------------------------------------------------------------------------
    "risk.TradingControl": ALL,
    "risk.TradingControlEvent": ALL,
    "risk.RiskSettings": ALL,
    "risk.RiskSettingsVersion": ALL,
    "risk.LimitChange": ALL,
    "risk.InstrumentLimit": ALL,
    "risk.CalendarDay": ALL,
    "risk.CalendarYear": ALL,
    "risk.SessionRule": ALL,
    "risk.CalendarChange": ALL,
    "risk.CalendarWish": ALL,
    "risk.Incident": Cover(unwatched=("count", "last_at")),
    # --- People -------------------------------------------------------------------------------------------------------
    "auth.User": Cover(unwatched=("last_login",)),
    "auth.Group": ALL,
    "auth.User_groups": ALL,
    "auth.User_user_permissions": ALL,
    "auth.Group_permissions": ALL,
    "auth.Permission": LATER,  # `migrate` adds them
    "otp_totp.TOTPDevice": Cover(unwatched=("last_used_at", "last_t", "drift", "throttling_failure_count")),
    "otp_static.StaticDevice": Cover(unwatched=("last_used_at", "throttling_failure_count")),
    "otp_static.StaticToken": Cover(masked=("token",)),
    "admin.LogEntry": LATER,  # a record itself
}

EXEMPT: dict[str, str] = {
    "risk.AuditEntry": "the trail itself, which the database protects",
    "risk.AuditSeal": "the seals over it, likewise",
    "orders.ExecutorHeartbeat": "written every second, and steers no money: the leader's lock does",
    "orders.RefusedAddress": "from where tokens came that open nothing: counted, and forgotten after a minute",
    "orders.Holding": "what the broker told of its demat account, read anew with each book, and decided by nowhere",
    "orders.PositionDay": "reckoned from orders, fills and adjustments, which are covered, whenever the position is",
    "orders.DayPoint": "a line for a chart, written every few seconds; what it is drawn from is covered",
    "orders.Alert": "what was told of rows that are covered: a record itself, which steers nothing",
    "orders.AlertMessage": "likewise",
    "orders.AlertDelivery": "likewise, and rewritten with each attempt",
    "orders.AlertSender": "which process sends, and how far it has looked: written every few seconds, steers no money",
    "axes.AccessAttempt": "who guesses passwords: a record itself, which an administrator clears to release somebody",
    "axes.AccessAttemptExpiration": "likewise",
    "axes.AccessFailureLog": "likewise",
    "axes.AccessLog": "who logged in: a record itself",
    "contenttypes.ContentType": "Django's own list of tables, made by migrate",
    "sessions.Session": "who is logged in to the admin: keys that nobody should keep",
}
