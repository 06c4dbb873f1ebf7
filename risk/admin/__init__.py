from risk.admin import limit_history, limits, switch_history

__all__ = ["limit_history", "limits", "switch_history"]
