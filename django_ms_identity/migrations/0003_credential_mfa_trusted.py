from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("ms_identity", "0002_linked_accounts"),
    ]

    operations = [
        migrations.RenameField(model_name="credential", old_name="assured", new_name="mfa_trusted"),
    ]
