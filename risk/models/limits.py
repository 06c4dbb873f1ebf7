"""RiskSettings: the limits that staff edit, and every version of them that was ever in force."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from risk.engine import rates
from risk.engine.limits import InstrumentLimits, Limits
from risk.engine.loosening import instrument_limit_loosens, loosens, taken_back
from risk.models.append_only import append_only

_NOT_NEGATIVE = [MinValueValidator(Decimal(0))]
_SCORE = [MinValueValidator(Decimal(-100)), MaxValueValidator(Decimal(100))]
_KINDS = r"^\s*([A-Z]+:[A-Z][A-Z0-9]*(:[A-Z0-9&-]+)?\s*(,\s*|$))*$"
_PERCENT = [MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(20))]


def _rupees(label: str, help_text: str, *, empty: bool = False) -> models.DecimalField[Any, Any]:
    return models.DecimalField(
        label,
        max_digits=14,
        decimal_places=2,
        null=empty,
        blank=empty,
        validators=_NOT_NEGATIVE,
        help_text=help_text,
    )


def _percent(label: str, default: str, help_text: str) -> models.DecimalField[Any, Any]:
    return models.DecimalField(
        label,
        max_digits=6,
        decimal_places=3,
        default=Decimal(default),
        validators=_PERCENT,
        help_text=help_text,
    )


def _score(label: str, help_text: str) -> models.DecimalField[Any, Any]:
    return models.DecimalField(label, max_digits=6, decimal_places=2, validators=_SCORE, help_text=help_text)


class RiskSettings(models.Model):
    """
    The limits in force: one row, id 1. Every save through `risk.limit_versions.save` is a version with its author.

    In each limit 0 means that nothing is allowed; none is ever switched off by a 0. What each one does for an order is
    said by the catalogue of controls, which the page shows beside the fields.
    """

    LIMIT_FIELDS = (
        "cms_buy_threshold",
        "cms_sell_threshold",
        "position_size",
        "round_up_to_one_lot",
        "order_value_max",
        "order_quantity_max",
        "position_value_max",
        "daily_trades_max",
        "daily_loss_max",
        "charges_percent",
        "exits_after_loss",
        "exposure_breach_reduces",
        "include_external",
        "slippage_percent",
        "collar_percent",
        "closing_collar_percent",
        "signal_age_max_seconds",
        "closing_signal_age_max_seconds",
        "quote_age_max_seconds",
        "orders_per_second_max",
        "orders_per_minute_max",
        "signal_drift_percent",
        "duplicate_window_seconds",
        "open_orders_max",
        "symbol_open_orders_max",
        "opposite_orders_allowed",
        "adding_allowed",
        "gross_exposure_max",
        "positions_max",
        "funds_use_percent",
        "reject_streak_max",
        "rejections_max",
        "allowed_instruments",
    )

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    cms_buy_threshold = _score("CMS buy threshold", "A BUY signal needs a score strictly above this, −100 to 100.")
    cms_sell_threshold = _score("CMS sell threshold", "A SELL signal needs a score strictly below this, −100 to 100.")
    position_size = _rupees("position size (₹)", "What one automatic entry buys, rounded down to whole lots.")
    round_up_to_one_lot = models.BooleanField(
        "round up to one lot",
        default=True,
        help_text="Where the position size buys nothing, take one lot if the order value limit allows it.",
    )
    order_value_max = _rupees("max order value (₹)", "The most that one opening order may be worth.")
    order_quantity_max = models.PositiveIntegerField(
        "max order quantity (shares)", default=1000, help_text="The most shares in one opening order."
    )
    position_value_max = _rupees(
        "max position size (₹)", "The most that one symbol may be worth, working orders counted as filled."
    )
    daily_trades_max = models.PositiveIntegerField(
        "max trades a day",
        help_text="Opening orders are refused once this many orders were made on a Mumbai date.",
    )
    daily_loss_max = models.DecimalField(
        "max daily loss (₹)",
        max_digits=14,
        decimal_places=2,
        default=Decimal(1000),
        validators=_NOT_NEGATIVE,
        help_text="Realised and unrealised since the close before, charges included. Reaching it lets only closing go.",
    )
    charges_percent = _percent(
        "charges, estimated (%)", "0.12", "Brokerage, taxes and fees, of what was bought and sold, for the day's loss."
    )
    exits_after_loss = models.BooleanField(
        "signals may exit after a limit tripped",
        default=False,
        help_text="Past the loss or an exposure limit: off turns auto-trading off, on lets signals go on closing.",
    )
    exposure_breach_reduces = models.BooleanField(
        "exposure past its limit stops entries",
        default=True,
        help_text="What is held past the limit of a symbol or of all lets only closing go, until a person resumes. "
        "Off: only that symbol's entries are cancelled, and what opens is refused.",
    )
    include_external = models.BooleanField(
        "count what is external",
        default=False,
        help_text="Whether what the account holds or trades beyond our own orders counts in exposure, open positions "
        "and the day's loss: shares delivered long ago, too. Exits stay ours.",
    )
    slippage_percent = _percent("slippage (%)", "0.5", "How far past the last price a marketable limit order is set.")
    collar_percent = _percent(
        "price collar, opening (%)", "3", "How far past the last price an opening order may be priced."
    )
    closing_collar_percent = _percent(
        "price collar, closing (%)", "10", "How far past the last price a closing order may be priced."
    )
    signal_age_max_seconds = models.PositiveIntegerField(
        "max signal age, opening (s)", default=300, help_text="Older signals expire."
    )
    closing_signal_age_max_seconds = models.PositiveIntegerField(
        "max signal age, closing (s)", default=3600, help_text="Older signals expire, for a SELL that closes."
    )
    quote_age_max_seconds = models.PositiveIntegerField(
        "max price age (s)", default=10, help_text="An opening order is refused on an older last price."
    )
    orders_per_second_max = models.PositiveIntegerField(
        "max orders a second",
        default=5,
        validators=[MaxValueValidator(rates.BROKER_SECOND - rates.SECOND_FOR_EXITS)],
        help_text="What opens waits, or is refused, once so many orders were sent in a second. Exits and cancels go.",
    )
    orders_per_minute_max = models.PositiveIntegerField(
        "max orders a minute",
        default=30,
        validators=[MaxValueValidator(rates.BROKER_MINUTE - rates.MINUTE_FOR_EXITS)],
        help_text="What opens waits, or is refused, once so many orders were sent in a minute. Exits and cancels go.",
    )
    signal_drift_percent = _percent(
        "max drift from the signal's price (%)",
        "1",
        "How far the last price may be from the price that a signal names.",
    )
    duplicate_window_seconds = models.PositiveIntegerField(
        "duplicate window (s)",
        default=60,
        validators=[MaxValueValidator(86_400)],
        help_text="A like order is refused for so long after the first. The longer, the tighter.",
    )
    open_orders_max = models.PositiveIntegerField(
        "max open orders", default=10, help_text="Unsent, in doubt or resting, of all symbols."
    )
    symbol_open_orders_max = models.PositiveIntegerField(
        "max open orders of a symbol and side", default=1, help_text="Likewise, of one symbol and side."
    )
    opposite_orders_allowed = models.BooleanField(
        "orders may meet our own", default=False, help_text="Off: nothing is opened against a working order of ours."
    )
    adding_allowed = models.BooleanField(
        "positions may be added to", default=True, help_text="Off: nothing is bought of what is held already."
    )
    gross_exposure_max = _rupees(
        "max gross exposure (₹)", "The most that all symbols may be worth, working orders counted as filled."
    )
    positions_max = models.PositiveIntegerField(
        "max open positions", default=10, help_text="The most symbols that may be held or being bought."
    )
    funds_use_percent = models.DecimalField(
        "use of the funds (%)",
        max_digits=6,
        decimal_places=3,
        default=Decimal(98),
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))],
        help_text="How much of what the broker lets be spent an opening order may use, charges included.",
    )
    reject_streak_max = models.PositiveIntegerField(
        "refusals in a row",
        default=3,
        validators=[MaxValueValidator(100)],
        help_text="So many refusals of the broker in a row stop new exposure and auto-trading.",
    )
    rejections_max = models.PositiveIntegerField(
        "refusals in ten minutes",
        default=5,
        validators=[MaxValueValidator(100)],
        help_text="Likewise within ten minutes, in a row or not.",
    )
    allowed_instruments = models.CharField(
        "allowed instruments",
        max_length=200,
        default="NSE:EQ, BSE:EQ",
        blank=True,
        validators=[RegexValidator(_KINDS, "Give exchange:series with commas between, such as NSE:EQ, BSE:EQ.")],
        help_text="Exchange and series of what may be opened, with commas between; NSE:EQ:INFY is one symbol alone. "
        "Empty: nothing.",
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    changed_by = models.CharField(max_length=150, editable=False)
    changed_at = models.DateTimeField(editable=False)

    class Meta:
        verbose_name = "risk settings"
        verbose_name_plural = "risk settings"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="risk_settings_is_one_row")]

    def __str__(self) -> str:
        return f"Risk settings, version {self.version}"

    def limits(self) -> Limits:
        """Return the limits as the risk engine takes them."""
        return Limits(version=self.version, **{name: getattr(self, name) for name in self.LIMIT_FIELDS})

    def values(self) -> dict[str, str]:
        """Return every limit as text, for a version."""
        return {name: self.as_text(getattr(self, name)) for name in self.LIMIT_FIELDS}

    def numbers(self) -> dict[str, Any]:
        """Return every limit as it is."""
        return {name: getattr(self, name) for name in self.LIMIT_FIELDS}

    @staticmethod
    def as_text(value: Any) -> str:
        """Return a limit's value as a version keeps it."""
        return str(value)

    @staticmethod
    def loosens(name: str, before: Any, after: Any) -> bool:
        return loosens(name, before, after)

    @staticmethod
    def taken_back(name: str, before: Any, after: Any) -> Any:
        return taken_back(name, before, after)

    @classmethod
    def parsed(cls, name: str, text: str) -> Any:
        """Return a limit's value from the text that a version keeps."""
        return cls._column(name).to_python(text)

    @classmethod
    def check_value(cls, name: str, value: Any) -> None:
        """Raise Django's `ValidationError` when the limit cannot have the value."""
        cls._column(name).clean(value, None)

    @classmethod
    def label(cls, name: str) -> str:
        """Return the words for a limit; the name itself for one that exists no more."""
        return str(cls._column(name).verbose_name) if name in cls.LIMIT_FIELDS else name

    @classmethod
    def _column(cls, name: str) -> models.Field[Any, Any]:
        column = cls._meta.get_field(name)
        assert isinstance(column, models.Field), "every limit is a column of its own"
        return column


class InstrumentLimit(models.Model):
    """
    The limits of one symbol beside the general ones: the tighter of the two holds. Empty is none of its own.

    Every save through `risk.limit_versions.save_instrument` is a version of the limits with its author. A symbol that
    is blocked can still be closed.
    """

    class Products(models.TextChoices):
        CNC = "CNC", "CNC: delivery"
        MIS = "MIS", "MIS: intraday"
        NRML = "NRML", "NRML: carried forward"

    LIMIT_FIELDS = ("blocked", "order_value_max", "order_quantity_max", "position_value_max", "product")

    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40)
    blocked = models.BooleanField(default=False, help_text="Nothing may be opened in it. It can still be closed.")
    order_value_max = _rupees("max order value (₹)", "The most that one opening order may be worth.", empty=True)
    order_quantity_max = models.PositiveIntegerField(
        "max order quantity (shares)", null=True, blank=True, help_text="The most shares in one opening order."
    )
    position_value_max = _rupees(
        "max position size (₹)", "The most that it may be worth, working orders counted as filled.", empty=True
    )
    product = models.CharField(
        max_length=6, choices=Products, blank=True, help_text="Only this product may be opened. Empty: any."
    )
    changed_by = models.CharField(max_length=150, editable=False)
    changed_at = models.DateTimeField(editable=False)

    class Meta:
        verbose_name = "instrument limit"
        ordering = ["exchange", "symbol"]
        constraints = [models.UniqueConstraint(fields=["exchange", "symbol"], name="instrument_limit_once")]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"

    @classmethod
    def label(cls, name: str) -> str:
        """Return the words for one of its limits; the name itself for one that exists no more."""
        return str(cls._column(name).verbose_name) if name in cls.LIMIT_FIELDS else name

    @classmethod
    def _column(cls, name: str) -> models.Field[Any, Any]:
        column = cls._meta.get_field(name)
        assert isinstance(column, models.Field), "every limit is a column of its own"
        return column

    def limits(self) -> InstrumentLimits:
        """Return the limits as the risk engine takes them."""
        return InstrumentLimits(**{name: getattr(self, name) for name in self.LIMIT_FIELDS})

    def numbers(self) -> dict[str, Any]:
        """Return every limit as it is."""
        return {name: getattr(self, name) for name in self.LIMIT_FIELDS}

    def values(self) -> dict[str, str]:
        """Return the limits it has of its own as text, for a version."""
        own = {name: self.as_text(getattr(self, name)) for name in self.LIMIT_FIELDS}
        return {name: text for name, text in own.items() if text}

    @staticmethod
    def as_text(value: Any) -> str:
        """Return a limit's value as a version keeps it: empty for none of its own."""
        return "" if value is None or value is False else str(value)

    @staticmethod
    def loosens(name: str, before: Any, after: Any) -> bool:
        return instrument_limit_loosens(name, before, after)

    @staticmethod
    def taken_back(name: str, before: Any, after: Any) -> Any:
        return before

    @classmethod
    def parsed(cls, name: str, text: str) -> Any:
        """Return a limit's value from the text that a version keeps."""
        return cls._column(name).to_python(text) if text else cls._column(name).get_default()

    @classmethod
    def check_value(cls, name: str, value: Any) -> None:
        """Raise Django's `ValidationError` when the limit cannot have the value."""
        cls._column(name).clean(value, None)


HeldLimits = RiskSettings | InstrumentLimit  # what a wish is about: all orders, or those of one symbol


class RiskSettingsVersion(models.Model):
    """The limits as they were from one save to the next."""

    version = models.PositiveIntegerField(unique=True)
    limits = models.JSONField()
    changed = models.JSONField(default=dict, help_text="Each limit that changed, with the value before and after.")
    author = models.CharField(max_length=150)
    approved_by = models.CharField(max_length=150, blank=True, default="")
    reason = models.TextField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = "risk settings version"
        ordering = ["-version"]
        triggers = append_only()

    def __str__(self) -> str:
        return f"Version {self.version} by {self.author}"
