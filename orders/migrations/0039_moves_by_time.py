from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0038_quarters_of_orders'),
    ]

    operations = [
        # Of the rows of years, it takes longer than a statement may.
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name='orderevent',
            index=models.Index(
                condition=models.Q(('before', models.F('after')), _negated=True),
                fields=['at'],
                name='order_event_move',
            ),
        ),
    ]
