"""The command line: `neurona train | eval | predict | bench | info`.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad
or missing file, 4 accuracy below `--min-accuracy`, 5 training diverged, 130 Ctrl-C, 143 SIGTERM.
Each command imports what it needs when it runs, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from . import errors
from .errors import CommandError

_COMMANDS = {
    "train": ("train", "train a model on a data set"),
    "eval": ("evaluate", "measure a saved model"),
    "predict": ("predict", "classify inputs with a saved model"),
    "bench": ("bench", "time the kernels, and compare them with other libraries"),
    "info": ("info", "versions, processor, threads, folders: what a bug report needs"),
}

_EXAMPLES = """examples:
  neurona train digits --model digits_cnn --epochs 5 --out run
  neurona eval run/best.safetensors --min-accuracy 0.95
  neurona predict run/best.safetensors images.npy --topk 3
  neurona info --json
"""


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the options of the command in use are filled in."""
    parser = argparse.ArgumentParser(
        prog="neurona",
        description="Train and use small neural networks.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module_name, text) in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            module = importlib.import_module(f".{module_name}", __name__)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def _fail(command: str, error: BaseException, code: int) -> int:
    lines = str(error).splitlines() or [type(error).__name__]
    print(f"neurona {command}: {lines[0]}", file=sys.stderr)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; never shows a traceback for a foreseen fault."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser = _parser(words)
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:  # argparse has printed the message; 2 for wrong usage, 0 for --help
        return int(stop.code or 0)
    if args.version:
        from .. import __version__

        print(f"neurona {__version__}")
        return errors.OK
    if args.command is None:
        parser.print_help(sys.stderr)
        return errors.USAGE
    from ..errors import FormatError

    try:
        return int(args.run(args) or 0)
    except CommandError as error:
        return _fail(args.command, error, error.code)
    except BrokenPipeError:  # `neurona ... | head`: nobody is listening any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.FAILED
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _fail(args.command, OSError(named), errors.BAD_FILE)
    except FormatError as error:
        return _fail(args.command, error, errors.BAD_FILE)
    except KeyboardInterrupt:
        return _fail(args.command, KeyboardInterrupt("interrupted"), errors.INTERRUPTED)
    except MemoryError as error:
        return _fail(args.command, MemoryError(f"out of memory: {error}"), errors.FAILED)
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        return _fail(args.command, error, errors.FAILED)
