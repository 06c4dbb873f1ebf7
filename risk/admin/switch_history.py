from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from risk.admin.display import Tone, badge, moment
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin
from risk.engine.facts import TradingState
from risk.models import TradingControl, TradingControlEvent

STATE_TONES = {
    TradingState.ACTIVE.value: (Tone.GOOD, "play_arrow"),
    TradingState.REDUCE_ONLY.value: (Tone.WARNING, "trending_down"),
    TradingState.HALTED.value: (Tone.LOUD, "front_hand"),
}


def state_badge(row: TradingControl | TradingControlEvent) -> str:
    tone, icon = STATE_TONES[row.state]
    return badge(row.get_state_display(), tone, icon)


def auto_trading_badge(row: TradingControl | TradingControlEvent) -> str:
    return badge("On", Tone.GOOD, "bolt") if row.auto_trading else badge("Off", Tone.PLAIN, "do_not_disturb_on")


@admin.register(TradingControlEvent)
class TradingControlEventAdmin(ReadOnlyAdmin):
    """Every change of the switch."""

    list_display = ("version", "at_ist", "state_after", "auto_trading_after", "actor", "reason")
    list_filter = (ModeFilter,)
    fields = ("mode", "version", "at_ist", "state_after", "auto_trading_after", "armed_user_id", "actor", "reason")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # its list is reached from the trading control page

    @admin.display(description="time", ordering="at")
    def at_ist(self, event: TradingControlEvent) -> str:
        return moment(event.at)

    @admin.display(description="trading", ordering="state")
    def state_after(self, event: TradingControlEvent) -> str:
        return state_badge(event)

    @admin.display(description="auto-trading", ordering="auto_trading")
    def auto_trading_after(self, event: TradingControlEvent) -> str:
        return auto_trading_badge(event)
