from django.db import migrations, models

from orders.models.quarters import Quarter


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0037_no_patterns_of_orders'),
    ]

    operations = [
        # Of the rows of years, it takes longer than a statement may.
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.RemoveIndex(
            model_name='order',
            name='order_submitted',
        ),
        migrations.RemoveIndex(
            model_name='order',
            name='order_answered',
        ),
        migrations.RemoveIndex(
            model_name='order',
            name='order_cancel_tried',
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['mode', 'trading_date', 'submitted_at'], name='order_submitted'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(models.F('mode'), Quarter('answered_at'), models.F('answered_at'), name='order_answered'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(
                models.F('mode'),
                Quarter('cancel_tried_at'),
                models.F('cancel_tried_at'),
                condition=models.Q(('cancel_tried_at__isnull', False)),
                name='order_cancel_tried',
            ),
        ),
        # How many quarters there are is known of the indexes alone: until it is, nothing is gained by them.
        migrations.RunSQL("ANALYZE orders_order", migrations.RunSQL.noop),
    ]
