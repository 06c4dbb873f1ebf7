from risk.models.calendar import CalendarChange, CalendarDay, CalendarYear, SessionRule
from risk.models.incident import Incident
from risk.models.limit_change import LimitChange
from risk.models.limits import InstrumentLimit, RiskSettings, RiskSettingsVersion
from risk.models.switch import Mode, TradingControl, TradingControlEvent

__all__ = [
    "CalendarChange",
    "CalendarDay",
    "CalendarYear",
    "Incident",
    "InstrumentLimit",
    "LimitChange",
    "Mode",
    "RiskSettings",
    "RiskSettingsVersion",
    "SessionRule",
    "TradingControl",
    "TradingControlEvent",
]
