"""The catalogue."""

from __future__ import annotations

from . import about_answers, about_browsers, about_people, about_tokens

CASES = (*about_tokens.CASES, *about_answers.CASES, *about_browsers.CASES, *about_people.CASES)
