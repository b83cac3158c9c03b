"""`neurona bench`: neurona beside other libraries, row by row, verified before timed."""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import errors

if TYPE_CHECKING:
    from ..bench.rows import Row
    from ..bench.session import Record, Settings, Variant

QUICK_ROUNDS = 5
QUICK_SAMPLE_MS = 5.0
# Kept here too, because the session and its imports would slow every command's help.
PEERS = ("torch", "torch_tuned", "torch_compiled", "jax", "onnxruntime", "numpy")

_EXAMPLES = """examples:
  neurona bench --list
  neurona bench gemm --quick
  neurona bench 'res?:F' lenet5 --peer-python other-venv/bin/python
  neurona bench --json now.json --compare before.json
"""


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("patterns", nargs="*", metavar="ROW", help="row, start of a row, op, or wildcard")
    add("--peers", default="all", help=f"comma list of {', '.join(PEERS)}; all; none")
    add("--peer-python", metavar="PATH", help="interpreter that has the peers (default: this one)")
    add("--threads", type=_positive, help="threads of every library (default: neurona's)")
    add("--rounds", type=_positive, help="samples per row and library")
    add("--quick", action="store_true", help="fewer and shorter samples, no footprint table")
    add("--variant", help="force a convolution algorithm of neurona")
    add("--footprint", action="store_true", help="also import time, size and memory")
    add("--wheel", metavar="PATH", help="a wheel whose size joins the footprint table")
    add("--json", metavar="PATH", help="write all figures to this file")
    add("--roofline", metavar="FILE.svg", help="draw the rows under the machine's limits (plot)")
    add("--compare", metavar="OLD.json", help="compare with figures written before")
    add("--list", action="store_true", help="list the rows and stop")


def _settings(args: argparse.Namespace) -> Settings:
    from ..backends import cpu
    from ..bench.session import Settings

    fixed: dict[str, Any] = {"threads": args.threads or cpu.num_threads(), "variant": args.variant}
    if args.quick:
        fixed.update(rounds=QUICK_ROUNDS, min_sample_ms=QUICK_SAMPLE_MS)
    if args.rounds:
        fixed["rounds"] = args.rounds
    return Settings(**fixed)


def _list_rows(rows: list[Row]) -> None:
    for row in rows:
        number = "" if row.number is None else row.number
        parameters = " ".join(f"{name}={value}" for name, value in row.parameters.items())
        print(f"{number!s:>2} {row.label:<32} {row.op:<18} {parameters}")


def _measure_footprint(
    args: argparse.Namespace, peers: list[Variant], threads: int
) -> list[Record]:
    from ..bench import footprint
    from ..bench.session import OURS, VARIANTS

    modules: dict[str, tuple[Variant | None, str | None]] = {
        "numpy": (None, None),
        OURS: (VARIANTS[0], None),
    }
    for peer in peers:
        if peer.label in ("torch", "jax"):
            modules[peer.module] = (peer, args.peer_python)
        elif peer.label == "onnxruntime":
            modules[peer.module] = (None, args.peer_python)
    rounds = 3 if args.quick else 9
    with tempfile.TemporaryDirectory(prefix="neurona-bench-") as folder:
        return footprint.measure(modules, threads, rounds, folder)


def run(args: argparse.Namespace) -> int:
    """Runs the benchmark and prints its tables; fails when neurona is wrong or missing."""
    from ..bench import footprint, report
    from ..bench.rows import load_rows, select_rows
    from ..bench.session import OURS, Session, add_share_of_bandwidth, select_peers

    try:
        rows, peers = select_rows(load_rows(), args.patterns), select_peers(args.peers)
    except ValueError as error:
        raise errors.CommandError(str(error), errors.USAGE) from None
    old = report.read_json(args.compare) if args.compare else None
    if args.wheel:
        Path(args.wheel).stat()
    if args.list:
        _list_rows(rows)
        return errors.OK
    if args.roofline and importlib.util.find_spec("matplotlib") is None:
        text = "bench: --roofline needs matplotlib: pip install neurona[plot]"
        raise errors.CommandError(text, errors.USAGE)
    settings = _settings(args)
    records: list[Record] = []
    costs: list[Record] = []
    with Session(settings, peers, args.peer_python) as session:
        probes = session.probe()
        labels = session.labels
        print("\n".join(report.opening_lines(session)))
        print(report.header(labels), flush=True)
        for row in rows:
            measured = session.run(row)
            add_share_of_bandwidth(measured, probes)
            records += measured
            if measured:
                lines = [report.row_line(measured, labels), *report.trouble_lines(measured)]
                print("\n".join(lines), flush=True)
        print("\n".join(["", *report.summary_lines(records), *report.legend_lines(labels, probes)]))
        if args.footprint or not (args.patterns or args.quick):
            costs = _measure_footprint(args, peers, settings.threads)
            print("\n".join(["", *footprint.lines(costs, args.wheel)]))
        if old is not None:
            print("\n".join(["", *report.comparison_lines(old, records)]))
        document = report.document(session, records, probes, costs)
        if args.json:
            report.write_json(args.json, document)
        if args.roofline and probes:
            from ..bench.roofline import roofline

            roofline(document, Path(args.roofline))
    ours = [record for record in records if record["peer"] == OURS]
    good = ours and all(record["status"] == "ok" for record in ours)
    return errors.OK if good else errors.FAILED
