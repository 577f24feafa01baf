"""The catalogue."""

from __future__ import annotations

from . import browsers, people, responses, tokens

CASES = (*tokens.CASES, *responses.CASES, *browsers.CASES, *people.CASES)
