"""Every way in which Microsoft, a visitor or somebody between them may lie, and what comes of it.

The catalogue is ``cases.CASES``; ``python -m tests.security.attacks`` writes its table into docs/security.md.
"""
