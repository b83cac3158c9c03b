"""Exit codes, and the exception that carries one."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
BAD_FILE = 3
BELOW_THRESHOLD = 4
DIVERGED = 5
INTERRUPTED = 130


class CommandError(Exception):
    """Ends a command with a one-line message on stderr and an exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
