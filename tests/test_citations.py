"""Every file that code, configuration or documents cite exists, and is in the repository."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (".ci", ".github", "benchmarks", "django_ms_identity", "docs", "example_project", "tests")
# Says how things were.
HISTORY = {"benchmarks/before-the-redesign.md", "CHANGELOG.md"}
PRESENT = sorted(
    path
    for pattern in ("*", *(f"{folder}/**/*" for folder in FOLDERS))
    for path in ROOT.glob(pattern)
    if path.is_file() and "__pycache__" not in path.parts
)
FILES = [path for path in PRESENT if path.relative_to(ROOT).as_posix() not in HISTORY]
NAMES = {path.name for path in PRESENT}
RELATIVE_TO = (
    ROOT,
    ROOT / "django_ms_identity",
    ROOT / "django_ms_identity/templates",
    ROOT / "docs",
    ROOT / "tests",
)
# A path that begins in one of the folders, or any path or name of a source file or document.
IN_FOLDER = rf"(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]+"
BY_SUFFIX = r"(?:[\w.-]+/)*\w[\w-]*\.(?:md|py|toml)\b"
# No pattern, and no part of an address or of a longer word.
CITED = re.compile(rf"(?<![\w/.$*-])(?:{IN_FOLDER}|{BY_SUFFIX})(?![\w/*{{<(…-])")


def prose_of(path: Path) -> Iterator[str]:
    """Return what may cite a file: code spans, comments, docstrings, or a whole configuration file."""
    match path.suffix:
        case ".md":
            yield from re.findall(r"`([^`\n]+)`", path.read_text(encoding="utf-8"))
        case ".py":
            with path.open("rb") as file:
                yield from (
                    token.string
                    for token in tokenize.tokenize(file.readline)
                    if token.type == tokenize.COMMENT
                )
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                # A docstring, or the literal that documents a field.
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    yield str(node.value.value)
        case ".toml" | ".yml" | ".yaml":
            yield path.read_text(encoding="utf-8")
        case _ if path.name in ("Makefile", "run"):
            yield path.read_text(encoding="utf-8")


def citations(path: Path) -> set[str]:
    return {cited.rstrip(".") for text in prose_of(path) for cited in CITED.findall(text)}


def is_here(cited: str, path: Path) -> bool:
    if "/" not in cited:
        return cited in NAMES
    return any((folder / cited).exists() for folder in (*RELATIVE_TO, path.parent))


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_cited_files_exist(folder: str) -> None:
    parts = [(path, path.relative_to(ROOT).parts) for path in FILES]
    chosen = [path for path, (first, *rest) in parts if (first == folder if rest else not folder)]

    assert chosen
    assert [
        (path.relative_to(ROOT).as_posix(), cited)
        for path in chosen
        for cited in sorted(citations(path))
        if not is_here(cited, path)
    ] == []


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("see tests/net/test_http.py.", {"tests/net/test_http.py"}),
        ("`docs/errors.md` and errors.md", {"docs/errors.md", "errors.md"}),
        ("pages in docs/images.", {"docs/images"}),
        ("https://example.org/guide.md", set()),
        ("tests/security/*.py or path/strategy.go", set()),
    ],
)
def test_citation_is_found_in_prose(tmp_path: Path, text: str, cited: set[str]) -> None:
    path = tmp_path / "sample.toml"
    path.write_text(text, encoding="utf-8")

    assert citations(path) == cited


def test_citation_of_a_missing_file_is_noticed() -> None:
    assert not is_here("tests/test_nothing_of_the_kind.py", ROOT / "README.md")
    assert not is_here("nothing_of_the_kind.py", ROOT / "README.md")
