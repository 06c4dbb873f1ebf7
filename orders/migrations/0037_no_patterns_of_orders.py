from django.db import migrations

# Django makes them beside an index of texts, for LIKE: nothing looks an order up by a part of its ids or its symbol, and
# each way of an order writes a row into each of them. A database that is made anew has them until here, too.
PATTERNS = {
    "orders_order_client_order_id_7dda43fb_like": "client_order_id",
    "orders_order_broker_order_id_013884cc_like": "broker_order_id",
    "orders_order_symbol_f3ef2b61_like": "symbol",
}


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0036_orders_of_no_signal'),
    ]

    operations = [
        migrations.RunSQL(
            f"DROP INDEX IF EXISTS {name}", f"CREATE INDEX {name} ON orders_order ({column} varchar_pattern_ops)"
        )
        for name, column in PATTERNS.items()
    ]
