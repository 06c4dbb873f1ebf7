"""
The exchange's calendar as staff keep it: days that are not as their weekday says, complete years, dated hours.

Times are wall-clock times in Mumbai. `risk.calendar` is the only door that changes any of it.
"""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from risk.engine.sessions import CalendarEntry, DayKind, InstrumentGroup, SessionHours
from risk.models.append_only import append_only

FIRST_YEAR, LAST_YEAR = 2000, 2100


class CalendarDay(models.Model):
    """A holiday, or a session with hours of its own. A SPECIAL day without times is closed for automation."""

    class Kind(models.TextChoices):
        HOLIDAY = DayKind.HOLIDAY.value, "Holiday"
        SPECIAL = DayKind.SPECIAL.value, "Special session"

    date = models.DateField(unique=True)
    kind = models.CharField(max_length=8, choices=Kind)
    opens = models.TimeField(null=True, blank=True, help_text="IST; only of a special session.")
    closes = models.TimeField(null=True, blank=True, help_text="IST; empty while it is not known.")
    name = models.CharField(max_length=200)
    source = models.CharField(max_length=300, blank=True, help_text="The exchange's circular.")
    note = models.CharField(max_length=300, blank=True)
    entered_by = models.CharField(max_length=150, editable=False)
    entered_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["-date"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in DayKind]), name="calendar_day_kind_is_known"
            ),
            models.CheckConstraint(
                condition=Q(opens__isnull=True) | Q(opens__lt=F("closes")),
                name="calendar_day_opens_before_it_closes",
                violation_error_message="It must open before it closes.",
            ),
            models.CheckConstraint(
                condition=Q(opens__isnull=True, closes__isnull=True) | Q(opens__isnull=False, closes__isnull=False),
                name="calendar_day_has_both_times_or_none",
                violation_error_message="Give both times or neither.",
            ),
            models.CheckConstraint(
                condition=Q(kind=DayKind.SPECIAL.value) | Q(opens__isnull=True, closes__isnull=True),
                name="calendar_holiday_has_no_hours",
                violation_error_message="A holiday has no hours.",
            ),
        ]
        permissions = [("load_calendar", "Can load the exchange's calendar from a file")]

    def __str__(self) -> str:
        return f"{self.date:%a %d %b %Y}: {self.name}"

    def entry(self) -> CalendarEntry:
        return CalendarEntry(kind=DayKind(self.kind), name=self.name, opens=self.opens, closes=self.closes)


class CalendarYear(models.Model):
    """A year, and whether all its holidays are entered. Until they are, nothing is opened in it."""

    year = models.PositiveSmallIntegerField(
        unique=True, validators=[MinValueValidator(FIRST_YEAR), MaxValueValidator(LAST_YEAR)]
    )
    complete = models.BooleanField(default=False, help_text="All holidays of the year are entered.")
    source = models.CharField(max_length=300, blank=True, help_text="The exchange's circular.")
    entered_by = models.CharField(max_length=150, editable=False)
    entered_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["-year"]
        constraints = [
            models.CheckConstraint(
                condition=Q(year__gte=FIRST_YEAR, year__lte=LAST_YEAR), name="calendar_year_is_sensible"
            )
        ]

    def __str__(self) -> str:
        return f"{self.year}, {'complete' if self.complete else 'not complete'}"


class SessionRuleQuerySet(models.QuerySet["SessionRule"]):
    def not_confirmed(self) -> SessionRuleQuerySet:
        """Return the hours that are known from one source only, and that nobody has confirmed yet."""
        return self.filter(confirmed=False)


class SessionRule(models.Model):
    """The hours of a group of instruments from one date on, until a newer row of the group begins."""

    class Group(models.TextChoices):
        EQ_NO_FNO = InstrumentGroup.EQ_NO_FNO.value, "Shares without derivatives"
        EQ_FNO_UNDERLYING = InstrumentGroup.EQ_FNO_UNDERLYING.value, "Shares with derivatives"
        FO = InstrumentGroup.FO.value, "Futures and options"

    group = models.CharField(max_length=20, choices=Group)
    effective_from = models.DateField()
    continuous_open = models.TimeField(help_text="IST.")
    continuous_close = models.TimeField(help_text="IST; a closing auction begins here.")
    auction_close = models.TimeField(null=True, blank=True, help_text="IST; empty where there is no closing auction.")
    source = models.CharField(max_length=300, blank=True, help_text="The exchange's circular.")
    note = models.CharField(max_length=300, blank=True)
    confirmed = models.BooleanField(
        default=True, editable=False, help_text="Off: known from one source only, until a person confirms them."
    )
    entered_by = models.CharField(max_length=150, editable=False)
    entered_at = models.DateTimeField(editable=False)

    objects = SessionRuleQuerySet.as_manager()

    class Meta:
        verbose_name = "session hours"
        verbose_name_plural = "session hours"
        ordering = ["group", "-effective_from"]
        constraints = [
            models.UniqueConstraint(fields=["group", "effective_from"], name="session_rule_once"),
            models.CheckConstraint(
                condition=Q(group__in=[group.value for group in InstrumentGroup]), name="session_rule_group_is_known"
            ),
            models.CheckConstraint(
                condition=Q(continuous_open__lt=F("continuous_close")),
                name="session_rule_opens_before_it_closes",
                violation_error_message="The continuous session must open before it closes.",
            ),
            models.CheckConstraint(
                condition=Q(auction_close__isnull=True) | Q(auction_close__gt=F("continuous_close")),
                name="session_rule_auction_follows",
                violation_error_message="The closing auction must end after the continuous session.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_group_display()} from {self.effective_from:%d %b %Y}"

    def hours(self) -> SessionHours:
        return SessionHours(
            group=InstrumentGroup(self.group),
            effective_from=self.effective_from,
            continuous_open=self.continuous_open,
            continuous_close=self.continuous_close,
            auction_close=self.auction_close,
        )


class CalendarChange(models.Model):
    """One change of the calendar: what, who, why and when."""

    at = models.DateTimeField(db_index=True)
    author = models.CharField(max_length=150)
    approved_by = models.CharField(max_length=150, blank=True, default="")
    what = models.TextField()
    reason = models.TextField(blank=True)
    opened = models.TextField("opened", blank=True, help_text="The days that trade, or trade longer, since.")

    class Meta:
        ordering = ["-id"]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.what} by {self.author}"
