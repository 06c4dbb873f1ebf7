"""Holding: shares in the demat account, or on their way there, as the broker's book told them last."""

from __future__ import annotations

from django.db import models

from risk.models import Mode


class Holding(models.Model):
    """
    What was carried over night of one symbol, whoever bought it: exactly what one reading of the book said.

    The next reading replaces it, and takes out what it does not show. What the broker did not tell is empty. What was
    bought today is no holding yet, and what was sold today is one still: both are in the position.
    """

    mode = models.CharField(max_length=8, choices=Mode)
    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40)
    isin = models.CharField("ISIN", max_length=12, blank=True)
    quantity = models.IntegerField("held when the day began (shares)")
    t1_quantity = models.IntegerField("of it T+1 (shares)", default=0, help_text="Bought, and not in demat yet.")
    sold_today = models.IntegerField("of it sold today (shares)", default=0)
    authorised_quantity = models.IntegerField(
        "authorised (shares)", default=0, help_text="May be sold today by an authorisation at the depository."
    )
    collateral_quantity = models.IntegerField("pledged (shares)", default=0, help_text="As collateral for margin.")
    average_price = models.DecimalField("average price (₹)", max_digits=18, decimal_places=4, null=True, blank=True)
    last_price = models.DecimalField("last price (₹)", max_digits=18, decimal_places=4, null=True, blank=True)
    close_price = models.DecimalField("previous close (₹)", max_digits=18, decimal_places=4, null=True, blank=True)
    discrepancy = models.BooleanField(default=False, help_text="The broker itself says that the average is doubtful.")
    as_of = models.DateTimeField(help_text="When the reading began.")

    class Meta:
        ordering = ["symbol", "exchange"]
        constraints = [models.UniqueConstraint(fields=["mode", "exchange", "symbol"], name="holding_once")]

    def __str__(self) -> str:
        return f"{self.quantity} {self.symbol}"
