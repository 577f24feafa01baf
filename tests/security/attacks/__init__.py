"""Attacks by Microsoft, by a visitor or in between them, each with the outcome of the sign-in.

The catalogue is ``cases.CASES``; ``python -m tests.security.attacks`` writes its table into docs/security.md.
"""
