"""Options that several commands share, and the conversions behind them."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import Any

from .errors import CommandError


def whole(minimum: int) -> Callable[[str], int]:
    """A conversion for `type=`: an int that is at least `minimum`."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be an integer >= {minimum}, got {text!r}")
        return value

    return convert


def fraction(text: str) -> float:
    """A number in [0, 1], for `type=`."""
    value = number(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1], got {text!r}")
    return value


def number(text: str) -> float:
    """A finite number >= 0, for `type=`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a finite number >= 0, got {text!r}")
    return value


def model_name(text: str) -> str:
    """A registered model, for `type=`."""
    from ..models.registry import check_name

    try:
        return check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def dataset_name(text: str) -> str:
    """A known data set, for `type=`."""
    from ..datasets.names import check_name

    try:
        return check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_common(parser: argparse.ArgumentParser) -> None:
    """`--json`, `--threads`, `-q` and `-v`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--threads", type=whole(1), metavar="N", help="use N threads")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("-v", "--verbose", action="store_true", help="more on stderr")


def apply_threads(args: argparse.Namespace) -> None:
    """Puts `--threads` into effect."""
    if args.threads is not None:
        import neurona

        neurona.set_num_threads(args.threads)


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device`."""
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default: cpu)"
    )


def check_device(args: argparse.Namespace) -> None:
    """Raises `CommandError` in one sentence where `--device` names what is not there."""
    if args.device == "cuda":
        from .. import cuda

        problem = cuda.problem()
        if problem is not None:
            raise CommandError(f"--device {problem}")


def note(args: argparse.Namespace, line: str) -> None:
    """A line on stderr, unless `--quiet`."""
    if not args.quiet:
        print(line, file=sys.stderr, flush=True)


def print_json(command: str, **content: Any) -> None:
    """The single JSON object of a command; nan, which JSON lacks, becomes null."""
    print(json.dumps(_finite({"schema": 1, "command": command, **content}), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
