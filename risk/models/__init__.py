from risk.models.audit import AuditEntry, AuditSeal
from risk.models.calendar import CalendarChange, CalendarDay, CalendarYear, SessionRule
from risk.models.calendar_wish import CalendarWish
from risk.models.incident import Incident
from risk.models.limit_change import LimitChange
from risk.models.limits import HeldLimits, InstrumentLimit, RiskSettings, RiskSettingsVersion
from risk.models.switch import Mode, TradingControl, TradingControlEvent
from risk.models.wish import Wish

__all__ = [
    "AuditEntry",
    "AuditSeal",
    "CalendarChange",
    "CalendarDay",
    "CalendarWish",
    "CalendarYear",
    "HeldLimits",
    "Incident",
    "InstrumentLimit",
    "LimitChange",
    "Mode",
    "RiskSettings",
    "RiskSettingsVersion",
    "SessionRule",
    "TradingControl",
    "TradingControlEvent",
    "Wish",
]
