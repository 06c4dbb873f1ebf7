from risk.admin import calendar, calendar_wishes, limit_changes, limit_history, limits, switch_history

__all__ = ["calendar", "calendar_wishes", "limit_changes", "limit_history", "limits", "switch_history"]
