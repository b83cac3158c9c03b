"""docs/coverage.md names every row of the course once, and only tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "coverage.md"
TABLE_LINES = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in DOCUMENT.read_text().splitlines()
    if line.startswith("| ") and line.endswith(" |")
]
ROWS = [cells for cells in TABLE_LINES if cells[0] != "row"]

# The rows of the course by chapter: A1..A13 and so on, with those inserted later.
EXPECTED = [
    *(f"{chapter}{i}" for chapter, last in (
        ("A", 13), ("B", 10), ("C", 29), ("D", 21), ("M", 6), ("O", 20), ("I", 8), ("R", 16),
        ("G", 13), ("K", 6), ("N", 29), ("E", 30),
    ) for i in range(1, last + 1)),
    "G2b", "G2c", "N1b", "N6a", "N6a'", "N6b", "N11b", "N12b", "N15b",
    *(f"N-{letter}" for letter in "abcdefghijklmnopqr"),
]  # fmt: skip


def test_every_row_is_there_once() -> None:
    names = [row[0] for row in ROWS]
    assert sorted(names) == sorted(EXPECTED)


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for row in ROWS:
        for file, start in re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", row[2]):
            path = TESTS / file
            if not path.exists() or f"def {start or 'test_'}" not in path.read_text():
                missing.append((row[0], file, start))
    assert not missing


def test_every_row_has_a_proof_or_says_what_is_open() -> None:
    for row in ROWS:
        assert "test_" in row[2] or "**open**" in row[2] or "nothing to prove" in row[2], row
