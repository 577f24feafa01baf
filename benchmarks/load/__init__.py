"""Sign-ins by many at once, at real servers: what goes wrong, what grows, and what a hostile mapper slows.

Run by ``python -m benchmarks.load``. The emulator, the site and the visitors are processes of their own;
all of them listen and ask on 127.0.0.1 alone.
"""
