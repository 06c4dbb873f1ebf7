"""Which tables an archive has, and by which column a row belongs to a month; and which it has not, with the reason."""

from __future__ import annotations

ARCHIVED: dict[str, str] = {
    "orders.Signal": "received_at",
    "orders.Decision": "at",
    "orders.Order": "trading_date",
    "orders.OrderEvent": "at",
    "orders.OrderModification": "written_at",
    "orders.BrokerMessage": "at",
    "orders.Fill": "recorded_at",  # and not its trading date: one of an earlier day may be found later
    "orders.Adjustment": "at",
    "orders.DayPoint": "since",
    "orders.EndOfDay": "trading_date",
    "orders.MissedExit": "at",
    "orders.Flatten": "asked_at",
    "orders.FlattenedPosition": "changed_at",
    "orders.Alert": "at",
    "orders.AlertMessage": "formed_at",
    "orders.AlertDelivery": "asked_at",
    "orders.GoingLiveStep": "at",
    "orders.LineProof": "begun_at",
    "orders.LineProofStage": "at",
    "orders.ShadowQuote": "trading_date",
    "risk.TradingControlEvent": "at",
    "risk.RiskSettingsVersion": "at",
    "risk.LimitChange": "created_at",
    "risk.CalendarChange": "at",
    "risk.CalendarWish": "created_at",
    "risk.Incident": "first_at",
    "risk.AuditEntry": "at",
    "risk.AuditSeal": "at",
}

NOT_ARCHIVED: dict[str, str] = {
    "orders.Position": "what is held now; its fills and adjustments make it",
    "orders.PositionDay": "where a position stands now, reckoned from its fills and adjustments",
    "orders.Holding": "as the broker told it last",
    "orders.Instrument": "the broker's list of today; each order names its own",
    "orders.BrokerSession": "the login of now, a secret in it",
    "orders.LoginAttempt": "digests of what went to the broker and back; what came of it is in the audit trail",
    "orders.ExecutorHeartbeat": "who leads now",
    "orders.AlertSender": "who sends alerts now, and up to where rows were looked at",
    "orders.ApiToken": "digests of what opens the API; what was done with one is in the audit trail",
    "orders.RefusedAddress": "how often an address sent tokens that open nothing, of the last minute",
    "risk.TradingControl": "the switch of now: its changes are archived",
    "risk.RiskSettings": "the limits of now: their versions are archived",
    "risk.InstrumentLimit": "those of now: their changes are in the audit trail",
    "risk.CalendarDay": "the calendar of now: its changes are archived",
    "risk.CalendarYear": "likewise",
    "risk.SessionRule": "likewise",
}
