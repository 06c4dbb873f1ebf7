from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0035_stream_connects'),
    ]

    operations = [
        # Of the rows of years, it takes longer than a statement may.
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('origin', 'AUTO'), _negated=True), fields=['mode', 'origin', '-id'], name='order_of_no_signal'),
        ),
    ]
