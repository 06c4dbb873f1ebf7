
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0016_login_attempt'),
    ]

    operations = [
        migrations.CreateModel(
            name='EndOfDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mode', models.CharField(choices=[('PAPER', 'Paper'), ('LIVE', 'Live')], max_length=8)),
                ('trading_date', models.DateField(help_text='In Mumbai.')),
                ('taken_at', models.DateTimeField()),
                ('taken_by', models.CharField(max_length=150)),
                ('book_as_of', models.DateTimeField(blank=True, help_text="When the broker's book that ours was held against began to be read; empty when it could not be.", null=True, verbose_name="broker's book as of")),
                ('is_late', models.BooleanField(default=False, help_text="After its day: the broker's book of that day could not be read any more.", verbose_name='taken late')),
                ('breaks', models.PositiveIntegerField(help_text="Differences between our book and the broker's.")),
                ('orders', models.PositiveIntegerField()),
                ('fills', models.PositiveIntegerField()),
                ('result', models.DecimalField(blank=True, decimal_places=4, help_text='Since the close before, realised and not, estimated charges taken off; empty when it is not known.', max_digits=18, null=True, verbose_name='result (₹)')),
                ('figures', models.JSONField(help_text='The amounts on top of the report, INR as text.')),
                ('sections', models.JSONField()),
            ],
            options={
                'verbose_name': 'end of day',
                'verbose_name_plural': 'ends of day',
                'ordering': ['-trading_date', '-id'],
                'permissions': [('take_end_of_day', 'Can take the end of day report')],
                'constraints': [models.UniqueConstraint(fields=('mode', 'trading_date'), name='end_of_day_once'), models.CheckConstraint(condition=models.Q(('book_as_of__isnull', False), ('is_late', True), _connector='OR'), name='end_of_day_without_a_book_is_late')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='endofday',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='be99e044dca4c2edb3b7ddf36410eb1fab172a0b', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_c2d73', table='orders_endofday', when='BEFORE')),
        ),
    ]
