"""RiskSettings: the limits that staff edit, and every version of them that was ever in force."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from risk.engine import rates
from risk.engine.limits import Limits
from risk.models.append_only import append_only

_NOT_NEGATIVE = [MinValueValidator(Decimal(0))]
_SCORE = [MinValueValidator(Decimal(-100)), MaxValueValidator(Decimal(100))]
_PERCENT = [MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(20))]


def _rupees(label: str, help_text: str) -> models.DecimalField[Any, Any]:
    return models.DecimalField(label, max_digits=14, decimal_places=2, validators=_NOT_NEGATIVE, help_text=help_text)


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

    In each limit 0 means that nothing is allowed; none is ever switched off by a 0.
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
        "slippage_percent",
        "collar_percent",
        "closing_collar_percent",
        "signal_age_max_seconds",
        "closing_signal_age_max_seconds",
        "quote_age_max_seconds",
        "orders_per_second_max",
        "orders_per_minute_max",
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
        "signals may exit after a loss",
        default=False,
        help_text="At the daily loss limit: off turns auto-trading off, on lets signals go on closing positions.",
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
        return {name: str(getattr(self, name)) for name in self.LIMIT_FIELDS}

    def numbers(self) -> dict[str, Any]:
        """Return every limit as it is."""
        return {name: getattr(self, name) for name in self.LIMIT_FIELDS}

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
