from risk.admin import calendar, limit_changes, limit_history, limits, switch_history

__all__ = ["calendar", "limit_changes", "limit_history", "limits", "switch_history"]
