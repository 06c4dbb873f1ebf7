from risk.models.incident import Incident
from risk.models.limits import RiskSettings, RiskSettingsVersion
from risk.models.switch import Mode, TradingControl, TradingControlEvent

__all__ = ["Incident", "Mode", "RiskSettings", "RiskSettingsVersion", "TradingControl", "TradingControlEvent"]
