"""The rows of the benchmark: shapes kept as data in ``shapes/*.csv``.

One file per family of ops; the columns of a file are the parameters of its op. ``row`` is the
number of the row in the published table and may be empty. Directions, separated by spaces, are each
timed on their own:

    F forward   D gradient of the data   W gradient of the weights   B backward   FB both in one
    call U optimizer update   S whole training step (zero_grad, forward, loss, backward, step)
"""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SHAPES = Path(__file__).parent / "shapes"
FAMILIES = (
    "gemm",
    "linear",
    "conv2d",
    "conv_transpose2d",
    "pool2d",
    "unpool",
    "upsample",
    "affine",
    "reorder",
    "distance",
    "batch_norm",
    "activation",
    "loss",
    "optimizer",
    "step",
)
FIXED_COLUMNS = ("row", "name", "op", "directions")

Value = int | float | str | list[int]


@dataclass(frozen=True)
class Row:
    """One thing to time: an op, its parameters and one direction."""

    name: str
    op: str
    direction: str
    number: int | None = None
    parameters: dict[str, Value] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.name}:{self.direction}"

    def matches(self, pattern: str) -> bool:
        """Whether ``pattern`` is the op, ``name:direction``, a start of the name, or a wildcard."""
        if any(mark in pattern for mark in "*?["):
            return any(fnmatch.fnmatchcase(text, pattern) for text in (self.name, self.label))
        return self.op == pattern or self.label == pattern or self.name.startswith(pattern)


def parse_value(text: str) -> Value:
    """An int, a float, a pair written ``5x1``, or else the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    parts = text.split("x")
    if len(parts) > 1 and all(part.isdigit() for part in parts):
        return [int(part) for part in parts]
    return text


def load_rows(folder: Path = SHAPES) -> list[Row]:
    """All rows of all families, in table order, one per direction.

    Raises ValueError when two rows share a name and a direction.
    """
    rows: list[Row] = []
    for family in FAMILIES:
        with open(folder / f"{family}.csv", newline="", encoding="utf-8") as file:
            for record in csv.DictReader(file):
                rows.extend(_expand(record))
    labels = [row.label for row in rows]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise ValueError(f"bench: row names must be unique, got {', '.join(repeated)} twice")
    return rows


def _expand(record: dict[str, str]) -> Iterable[Row]:
    parameters = {
        column: parse_value(text)
        for column, text in record.items()
        if column not in FIXED_COLUMNS and text != ""
    }
    number = int(record["row"]) if record["row"] else None
    for direction in record["directions"].split():
        yield Row(record["name"], record["op"], direction, number, parameters)


def select_rows(rows: Sequence[Row], patterns: Sequence[str]) -> list[Row]:
    """The rows that match any pattern, in table order; every row when there is no pattern.

    Raises ValueError for a pattern that matches nothing.
    """
    for pattern in patterns:
        if not any(row.matches(pattern) for row in rows):
            raise ValueError(f"bench: pattern must match a row, got {pattern!r} (see --list)")
    return [row for row in rows if not patterns or any(row.matches(p) for p in patterns)]
