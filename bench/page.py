"""The tables and the roofline of docs/performance.md, from the JSON of `neurona bench`.

From the root of the source tree: ``python -m bench.page RUN.json [SECOND.json ...]`` prints the
tables; ``--roofline FILE.svg`` draws the first run's rows (needs the extra ``plot``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neurona.bench.report import duration
from neurona.bench.roofline import roofline
from neurona.bench.statistics import geometric_mean

OURS = "neurona"
VERDICTS = {"faster": "", "tie": " tie", "slower": " **loses**"}
Record = dict[str, Any]
Row = tuple[str, str]  # name and direction


def rows_of(document: dict[str, Any]) -> dict[Row, dict[str, Record]]:
    """The records of each row by peer, in the order of the run."""
    rows: dict[Row, dict[str, Record]] = {}
    for record in document["results"]:
        rows.setdefault((record["name"], record["direction"]), {})[record["peer"]] = record
    return rows


def share_cell(record: Record) -> str:
    """Part of the peak of multiply-adds, else of the memory's bandwidth."""
    if record.get("share_of_peak") is not None:
        return f"{record['share_of_peak']:.0%}"
    share = record.get("share_of_bandwidth")
    return "" if share is None else f"{share:.0%} of bandwidth"


def ratio_cell(record: Record | None) -> str:
    if record is None:
        return ""
    if "ratio" not in record:
        return str(record["status"])
    r = record["ratio"]
    return f"{r['median']:.2f} [{r['q1']:.2f}, {r['q3']:.2f}]{VERDICTS[r['verdict']]}"


def peers_of(documents: list[dict[str, Any]]) -> list[str]:
    names = dict.fromkeys(r["peer"] for document in documents for r in document["results"])
    return [name for name in names if name != OURS]


def table(document: dict[str, Any]) -> Iterator[str]:
    """One line per row: time, spread, share of peak, and each peer's time in units of ours."""
    peers = peers_of([document])
    yield f"| row | neurona | spread | share of peak | {' | '.join(peers)} |"
    yield "|---" * (4 + len(peers)) + "|"
    for (name, direction), records in rows_of(document).items():
        ours = records.get(OURS, {})
        if "median_ns" not in ours:
            yield f"| {name} {direction} | {ours.get('status', 'missing')} |" + " |" * (
                2 + len(peers)
            )
            continue
        cells = [
            f"{name} {direction}",
            duration(ours["median_ns"]),
            f"{ours['iqr_ns'] / ours['median_ns']:.0%}",
            share_cell(ours),
            *(ratio_cell(records.get(peer)) for peer in peers),
        ]
        yield f"| {' | '.join(cells)} |"


def summary(documents: list[dict[str, Any]]) -> Iterator[str]:
    """For each run and peer: rows won, tied and lost, and the geometric mean of the ratios."""
    yield "| run | peer | faster | ties | slower | geometric mean |"
    yield "|---|---|---|---|---|---|"
    for document in documents:
        for peer in peers_of([document]):
            ratios = [r["ratio"] for r in document["results"] if r["peer"] == peer and "ratio" in r]
            if not ratios:
                continue
            counts = [sum(r["verdict"] == v for r in ratios) for v in ("faster", "tie", "slower")]
            mean = geometric_mean([r["median"] for r in ratios])
            cells = " | ".join(map(str, counts))
            yield f"| {document['created'][:16]} | {peer} | {cells} | {mean:.2f}x |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="files of neurona bench --json")
    parser.add_argument("--roofline", type=Path, help="where to draw the first run")
    options = parser.parse_args()
    documents = [json.loads(path.read_text()) for path in options.runs]
    print("\n".join([*summary(documents), "", *table(documents[0])]))
    if options.roofline:
        roofline(documents[0], options.roofline)


if __name__ == "__main__":
    main()
