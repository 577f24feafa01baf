"""The page about security says what the catalogue and the tests say."""

from __future__ import annotations

import fnmatch
import re

from .cases import CASES
from .table import PAGE, with_block

IDS = [case.id for case in CASES]


def threat_model():
    return PAGE.read_text(encoding="utf-8").partition("\n## From whom\n")[2].partition("\n## What is not")[0]


def proofs():
    """Find what the page says after "Tested", of each attacker."""
    paragraphs = re.findall(r"\*\*Tested\*\*: ([^.]*(?:\.py[^.]*)*)\.\n", threat_model())
    return [re.findall(r"`([^`]+)`", paragraph) for paragraph in paragraphs]


def test_the_table_is_fresh():
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_block(page), "run python -m tests.security.attacks"


def test_every_attacker_wants_something_is_stopped_and_is_tested():
    sections = threat_model().split("\n### ")[1:]

    assert len(sections) == len(proofs()) >= 12
    for section in sections:
        assert re.findall(r"\*\*(Wants|Stopped by|Tested)\*\*", section) == ["Wants", "Stopped by", "Tested"]


def test_what_the_page_calls_tested_exists():
    for names in proofs():
        assert names
        for name in names:
            if name.startswith("tests/"):
                assert (PAGE.parents[1] / name).exists(), name
            else:
                assert fnmatch.filter(IDS, name), name


def test_every_case_but_the_plainest_belongs_to_an_attacker():
    patterns = [name for names in proofs() for name in names]
    left = [case for case in CASES if not any(fnmatch.fnmatch(case.id, pattern) for pattern in patterns)]

    assert {case.group.name for case in left} <= {"CLAIMS", "FLOWS", "PEOPLE"}
