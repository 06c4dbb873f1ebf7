from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0030_answered_at'),
    ]

    operations = [
        # Of the rows of years, it takes longer than a statement may.
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.RemoveIndex(
            model_name='order',
            name='order_day',
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['mode', 'trading_date', 'status'], include=('origin', 'submitted_at', 'broker_order_id'), name='order_day'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['mode', 'symbol', 'trading_date'], name='order_symbol_day'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('cancel_tried_at__isnull', False)), fields=['mode', 'cancel_tried_at'], name='order_cancel_tried'),
        ),
        # A day is counted by its index alone where PostgreSQL knows that all see the rows, which vacuum writes down: often
        # enough that no more of a day is unknown than a decision can look up.
        *(
            migrations.RunSQL(
                f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, "
                "autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 2000, "
                "autovacuum_analyze_scale_factor = 0.02)",
                f"ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, "
                "autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold, "
                "autovacuum_analyze_scale_factor)",
            )
            for table in ("orders_order", "orders_position", "orders_positionday")
        ),
    ]
