"""Write the table of all cases into docs/security.md: ``python -m tests.security.attacks``."""

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

    from .table import PAGE, with_block

    PAGE.write_text(with_block(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
