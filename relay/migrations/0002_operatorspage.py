from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("relay", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="OperatorsPage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
            ],
            options={
                "verbose_name": "operator's page",
                "verbose_name_plural": "operator's page",
                "permissions": [("operate", "May use the operator's page")],
                "managed": False,
                "default_permissions": (),
            },
        ),
    ]
