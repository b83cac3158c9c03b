"""What every demo shares: its options, and the table of what it expects beside what it got."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Demo:
    """One run of a demo: `quick` asks for the short form, pictures go to the folder `pictures`.

    Every claim is printed as a line "expected ... got ..." as soon as it is known; those that do
    not hold are counted in `failed`.
    """

    def __init__(self, quick: bool, pictures: Path) -> None:
        self.quick, self.pictures = quick, pictures
        self.failed = 0

    def section(self, title: str) -> None:
        print(f"\n{title}", flush=True)

    def check(self, what: str, expected: Any, got: Any, holds: bool | None = None) -> None:
        """One claim; without `holds` it holds where `got` equals `expected`."""
        if holds is None:  # nested tuples of several lengths are no arrays
            arrays = isinstance(got, np.ndarray) or isinstance(expected, np.ndarray)
            holds = np.array_equal(got, expected) or (not arrays and got == expected)
        self.failed += not holds
        mark = "ok " if holds else "NOT"
        print(f"  {mark} {what}: expected {expected}, got {got}", flush=True)

    def close(self, what: str, expected: float, got: float, tolerance: float) -> None:
        """A number that must lie within `tolerance` of the expected one."""
        self.check(
            what, f"{expected:g} +- {tolerance:g}", f"{got:.6g}", abs(got - expected) <= tolerance
        )

    def at_least(self, what: str, bound: float, got: float) -> None:
        self.check(what, f">= {bound:g}", f"{got:.4g}", got >= bound)

    def picture(self, name: str) -> Path:
        """Where the picture `name` goes; its folder is made."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        path = self.pictures / name
        print(f"  picture: {path}")
        return path


def main(run: Callable[[Demo], None], description: str) -> None:
    """Reads the options, runs the demo, and exits with 1 if a claim did not hold or data lack."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the short form")
    parser.add_argument(
        "--pictures", type=Path, default=Path("pictures"), help="folder (default: pictures)"
    )
    options = parser.parse_args()
    demo = Demo(options.quick, options.pictures)
    try:
        run(demo)
    except FileNotFoundError as error:  # MNIST is not part of the package
        sys.exit(f"{error}\n--quick needs no data beside the package's")
    if demo.failed:
        sys.exit(f"{demo.failed} of the demo's claims did not hold")
