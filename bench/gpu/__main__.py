"""Builds neurona for the GPU, tests it there, times it and writes the results.

    python -m bench.gpu                  build, test, time all rows -> bench/results/<gpu>.json
    python -m bench.gpu --rows lenet gemm_1024        rows whose names contain one of these words
    python -m bench.gpu --rehearse       every row on the emulated device, small, without a GPU
    python -m bench.gpu --report FILE    results as Markdown tables, the goals beside them

Rows that the results hold already are left out (--again repeats them), and tests that passed with
the same sources, so a run that was cut short, or that --minutes ended, is taken up by the same
command. A row that fails or takes too long costs itself and no more.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import checks, goals, machine, place, report, rows, runner
from .deadline import Deadline

ROOT = Path(__file__).parents[2]


def main() -> int:
    """The whole run, or one row of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", metavar="WORD", help="rows whose names contain a word")
    parser.add_argument("--again", action="store_true", help="repeat rows that have results")
    parser.add_argument("--no-build", action="store_true", help="take what was built before")
    parser.add_argument("--no-test", action="store_true", help="time without testing first")
    parser.add_argument("--minutes", type=float, metavar="N", help="begin nothing more after N")
    parser.add_argument("--out", type=Path, help="the file of results")
    parser.add_argument("--rehearse", action="store_true", help="without a GPU; nothing is written")
    parser.add_argument("--report", type=Path, metavar="FILE", help="only print what FILE holds")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.report:
        print(report.markdown(json.loads(options.report.read_text()), rows.TOPICS))
        return 0
    if options.serve:
        if options.rehearse:
            place.begin_rehearsal()
        runner.serve()
        return 0
    names = [n for n in rows.ROWS if not options.rows or any(w in n for w in options.rows)]
    if options.rehearse:
        return rehearse(names)
    return run(options, goals.in_order(names))


def rehearse(names: list[str]) -> int:
    """Every row, small; 1 if one fails."""
    failed = 0
    measure = runner.Runner(machine.environment(), rehearsal=True)
    for name in names:
        result = measure(name)
        failed += result["status"] != "ok"
        print(f"{name:45s} {result['status']} {result.get('note', '')}", flush=True)
    measure.close()
    print(f"{len(names) - failed} of {len(names)} rows ready")
    return int(failed > 0)


def run(options: argparse.Namespace, names: list[str]) -> int:
    """Build, test and time on the GPU; 1 if something failed or is still to be done."""
    deadline = Deadline(options.minutes)
    about = machine.about()
    file_name = about["gpu"].lower().replace(" ", "-") + ".json"
    out: Path = options.out or ROOT / "bench" / "results" / file_name
    out.parent.mkdir(parents=True, exist_ok=True)
    content = json.loads(out.read_text()) if out.exists() else {"schema": 2, "results": {}}
    content["machine"] = about
    content["created"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if not options.no_build:
        machine.build(about["capability"])
    environment, save = machine.environment(), lambda: replace_file(out, content)
    tests, results = content.setdefault("tests", {}), content["results"]
    if not options.no_test:
        checks.run_tests(
            tests, out.with_suffix(".log"), environment=environment, deadline=deadline,
            save=save, again=options.again,
        )  # fmt: skip
    time_rows(names, results, environment, deadline, save, again=options.again)
    print(report.goals_table(results))
    done = [n for n in names if results.get(n, {}).get("status") == "ok"]
    print(f"{len(done)} of {len(names)} rows timed, results in {out}")
    if deadline.has_passed():
        print(f"stopped after {options.minutes:g} minutes; the same command goes on")
    asked = [] if options.no_test else checks.selections()
    passed = all(tests.get(name, {}).get("passed") for name in asked)
    return int(len(done) < len(names) or not passed)


def time_rows(
    names: list[str],
    results: dict[str, Any],
    environment: dict[str, str],
    deadline: Deadline,
    save: Callable[[], None],
    *,
    again: bool,
) -> None:
    """Enter the rows in `results` that are not there, one after the other; save after each."""
    measure = runner.Runner(environment, rehearsal=False)
    for name in names:
        if results.get(name, {}).get("status") == "ok" and not again:
            continue
        if deadline.has_passed():
            break
        result = measure(name, deadline)
        if result["status"] == "timeout" and deadline.has_passed():
            break  # it had less than its time
        results[name] = result
        print(report.line_of(name, results), flush=True)
        save()
    measure.close()


def replace_file(path: Path, content: dict[str, Any]) -> None:
    """Write all of it or nothing: a run may be killed at any time."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(beside, path)


if __name__ == "__main__":
    sys.exit(main())
