from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0014_day_points'),
    ]

    operations = [
        migrations.CreateModel(
            name='LoginAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state_digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('begun_at', models.DateTimeField()),
                ('begun_by', models.CharField(max_length=150)),
                ('account', models.BigIntegerField(editable=False, help_text='Of the member of staff, whose name may change.')),
                ('session_digest', models.CharField(editable=False, max_length=64)),
                ('returned_at', models.DateTimeField(blank=True, null=True)),
                ('succeeded', models.BooleanField(default=False)),
                ('outcome', models.TextField(blank=True)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
    ]
