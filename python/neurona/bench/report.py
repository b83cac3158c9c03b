"""The tables of the benchmark as plain text, and the JSON document beside them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..files import atomic_write
from .machine import describe_machine
from .session import OURS, VARIANTS, Record, Session
from .statistics import Spread, geometric_mean

SCHEMA = "neurona-bench/1"
TABLE_WIDTH = 160
OUR_WIDTH = 68
RATIO_WIDTH = 29
BARE_RATIO_WIDTH = 15  # without quartiles, for more peers than the table has room for
BUSY_LOAD = 0.5
VERDICTS = {"faster": "", "slower": "loses", "tie": "tie"}


def duration(nanoseconds: float) -> str:
    """Three digits and a unit.

    >>> duration(1234.0), duration(5.6e7)
    ('1.23 us', '56.0 ms')
    """
    for limit, unit in ((1e3, "ns"), (1e6, "us"), (1e9, "ms")):
        if nanoseconds < limit:
            return _three_digits(nanoseconds / limit * 1e3, unit)
    return _three_digits(nanoseconds / 1e9, "s")


def _three_digits(value: float, unit: str) -> str:
    return f"{value:#.3g}".rstrip(".") + f" {unit}"


def _percent(share: float | None) -> str:
    return f"{100 * share:.0f}%" if share is not None else "-"


def opening_lines(session: Session) -> list[str]:
    """The machine, the versions, a warning when it is busy, and a line for each missing peer."""
    settings, machine = session.settings, describe_machine()
    lines = [
        f"{machine['cpu']}, {machine['usable_cores']} usable cores; "
        f"{settings.threads} threads, {settings.rounds} rounds"
    ]
    lines += [
        ", ".join(f"{name} {value}" for name, value in versions.items())
        for versions in session.versions.values()
    ]
    load = (machine["load_average"] or [0.0])[0]
    if load > BUSY_LOAD:
        lines.append(f"the machine is busy (load average {load:.1f}): the figures will be rough")
    return lines + [f"{label}: missing: {reason}" for label, reason in session.missing.items()]


def _peers(labels: Sequence[str]) -> list[str]:
    return [label for label in labels if label != OURS]


def _shows_quartiles(labels: Sequence[str]) -> bool:
    return OUR_WIDTH + RATIO_WIDTH * len(_peers(labels)) <= TABLE_WIDTH


def _cells(texts: Iterable[str], quartiles: bool) -> str:
    """The peers' part of a line."""
    if quartiles:
        return "".join(f"  {text:<{RATIO_WIDTH - 2}}" for text in texts)
    return "".join(f" {text:<{BARE_RATIO_WIDTH - 1}}" for text in texts)


def header(labels: Sequence[str]) -> str:
    """The column titles: neurona's own figures, then each peer's time in units of neurona's."""
    columns = f"{'row':<32}{'neurona':>10}{'+-':>6}{'GF/s':>8}{'peak':>6}{'bandw':>6}"
    quartiles = _shows_quartiles(labels)
    unit = " / neurona" if quartiles else ""
    return (columns + _cells((label + unit for label in _peers(labels)), quartiles)).rstrip()


def _ratio_cell(record: Record | None, quartiles: bool) -> str:
    if record is None:
        return "-"
    if record["status"] != "ok":
        return str(record["status"])
    if "ratio" not in record:
        return duration(record["median_ns"])
    r = record["ratio"]
    interval = f" [{r['q1']:.2f}-{r['q3']:.2f}]" if quartiles else ""
    return f"{r['median']:.2f}x{interval} {VERDICTS[r['verdict']]}".rstrip()


def row_line(records: Sequence[Record], labels: Sequence[str]) -> str:
    """One line of the table: a peer's ratio above 1 means neurona is faster."""
    by_peer = {record["peer"]: record for record in records}
    first = records[0]
    number = f"{first['number']:>2} " if first["number"] is not None else "   "
    line = f"{number + first['name'] + ' ' + first['direction']:<32}"
    ours = by_peer.get(OURS)
    if ours is None or "median_ns" not in ours:
        line += f"{(ours or {}).get('status', 'missing'):>10}{'':>26}"
    else:
        gflops = f"{ours['gflops']:.1f}" if ours["gflops"] else "-"
        line += (
            f"{duration(ours['median_ns']):>10}{_percent(ours['iqr_ns'] / ours['median_ns']):>6}"
        )
        line += f"{gflops:>8}{_percent(ours['share_of_peak']):>6}"
        line += f"{_percent(ours['share_of_bandwidth']):>6}"
    quartiles = _shows_quartiles(labels)
    ratios = (_ratio_cell(by_peer.get(label), quartiles) for label in _peers(labels))
    return (line + _cells(ratios, quartiles)).rstrip()


def trouble_lines(records: Sequence[Record]) -> list[str]:
    """Why a peer of the row was refused or failed."""
    return [
        f"     {record['peer']}: {record['status']}: {record['reason']}"
        for record in records
        if record["status"] != "ok"
    ]


def summary_lines(records: Sequence[Record]) -> list[str]:
    """For each peer: rows won, tied and lost, and the geometric mean of the ratios."""
    lines = []
    for label in dict.fromkeys(record["peer"] for record in records):
        ratios = [
            record["ratio"] for record in records if record["peer"] == label and "ratio" in record
        ]
        if not ratios:
            continue
        verdicts = [r["verdict"] for r in ratios]
        mean = geometric_mean([r["median"] for r in ratios])
        lines.append(
            f"against {label}: {verdicts.count('faster')} faster, {verdicts.count('tie')} ties, "
            f"{verdicts.count('slower')} slower; geometric mean {mean:.2f}x"
        )
    refused = sum(record["status"] == "wrong" for record in records)
    if refused:
        lines.append(f"{refused} results failed verification and were not timed")
    return lines


def legend_lines(labels: Sequence[str], probes: dict[str, float] | None) -> list[str]:
    """What the columns mean, below the table."""
    lines = [f"{v.label}: {v.note}" for v in VARIANTS if v.label in labels]
    quartiles = "[quartiles]" if _shows_quartiles(labels) else "(quartiles with fewer peers)"
    lines.append(
        f"Ratios to neurona's time are medians over rounds {quartiles}; above 1 neurona is faster."
    )
    lines.append("A tie: the interquartile intervals of the times overlap.")
    lines.append(
        "Warm calls. Convolutions count the direct algorithm, so Winograd may exceed the peak."
    )
    if probes:
        lines.append(
            f"measured peak {probes['fma_flops'] / 1e9:.0f} GF/s, "
            f"bandwidth {probes['bandwidth_bytes'] / 1e9:.1f} GB/s"
        )
    return lines


def document(
    session: Session,
    records: Sequence[Record],
    probes: dict[str, float] | None,
    footprint: Sequence[Record] = (),
) -> dict[str, Any]:
    """Everything a reader of the figures needs, as one JSON object."""
    return {
        "schema": SCHEMA,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "settings": session.settings.as_dict(),
        "machine": describe_machine(),
        "versions": session.versions,
        "missing": session.missing,
        "probes": probes,
        "results": list(records),
        "footprint": list(footprint),
    }


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Writes the document; its folder is made if need be."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: str | Path) -> dict[str, Any]:
    """A document written before. Raises FormatError when the file is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{path}: not a benchmark result: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise FormatError(f"{path}: not a benchmark result of schema {SCHEMA}")
    return content


def _times(record: Record) -> Spread:
    return Spread(record["median_ns"], record["q1_ns"], record["q3_ns"])


def comparison_lines(old: dict[str, Any], records: Sequence[Record]) -> list[str]:
    """Neurona's time and its ratio to each peer, then and now, for the rows both runs have."""
    before = {
        (record["name"], record["direction"], record["peer"]): record
        for record in old["results"]
        if "median_ns" in record
    }
    lines = [
        f"compared with the run of {old['created']} (revision {old['machine']['git_revision']})"
    ]
    threads = old["settings"]["threads"]
    if any(record["threads"] != threads for record in records):
        lines.append(f"  that run had another number of threads: {threads}")
    for record in records:
        past = before.get((record["name"], record["direction"], record["peer"]))
        if past is None or "median_ns" not in record:
            continue
        label = f"{record['name']} {record['direction']}"
        if record["peer"] == OURS:
            change = past["median_ns"] / record["median_ns"]
            same = _times(past).overlaps(_times(record))
            word = "same" if same else "faster" if change > 1 else "slower"
            times = f"{duration(past['median_ns'])} -> {duration(record['median_ns'])}"
            lines.append(f"  {label:<32}{times:<24}{change:5.2f}x  {word}")
        elif "ratio" in past and "ratio" in record:
            was, now = past["ratio"]["median"], record["ratio"]["median"]
            lines.append(f"  {'':<32}{record['peer'] + ' / neurona':<24}{was:.2f}x -> {now:.2f}x")
    return lines
