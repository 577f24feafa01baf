"""Hostile input for a while, not for a number of examples: ``python -m tests.security.fuzz --seconds 60``.

Nothing of a run is kept: what it finds is printed with the seed that finds it again, and belongs into a
test, or among the examples of its target.
"""
