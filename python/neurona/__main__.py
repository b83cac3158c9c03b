"""`python -m neurona` and the command `neurona`."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line with the arguments of this process; returns the exit code."""
    from .cli import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
