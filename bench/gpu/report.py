"""The results of a run as lines for the terminal and as Markdown tables for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .goals import GOALS, Results, bandwidth_share, figure_of, own_us


def fastest_peer(result: dict[str, Any]) -> tuple[str, float]:
    """The form of PyTorch that takes least, and how many times as long as neurona."""
    times = result["times"]
    peers = [name for name in times if not name.startswith("neurona")]
    name = min(peers, key=lambda peer: times[peer]["median_us"])
    return name, times[name]["median_us"] / own_us(result)


def speed(result: dict[str, Any]) -> str:
    """What neurona computes or moves in a second."""
    if result["flops"]:
        return f"{result['flops'] / own_us(result) / 1e6:.3g} Tflop/s"
    return f"{result['bytes'] / own_us(result) / 1e3:.0f} GB/s"


def share(result: dict[str, Any], results: Results) -> str:
    """Of the bandwidth of a copy, for a row that only moves memory."""
    part = None if result["flops"] else bandwidth_share(result, results)
    return "" if part is None else f"{100 * part:.0f} %"


def line_of(name: str, results: Results) -> str:
    """A row as the terminal shows it."""
    result = results[name]
    if result["status"] != "ok":
        return f"{name:45s} {result['status']}: {result.get('note', '')}"
    times, own = result["times"], own_us(result)
    ratios = "  ".join(f"{form} {times[form]['median_us'] / own:.2f}x" for form in times)
    return f"{name:45s} {own:10.1f} us {speed(result):>15s} {share(result, results):>6s}  {ratios}"


def table(header: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    header = list(header)
    all_lines = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in all_lines)


def goals_table(results: Results) -> str:
    """Every goal and what has been measured of it."""
    return table(
        ("goal (H200)", "reachable", "extreme", "so far"),
        [(g.what, f"{g.reachable} {g.unit}", f"{g.extreme} {g.unit}", figure_of(g, results))
         for g in GOALS],
    )  # fmt: skip


def _cells(name: str, results: Results) -> tuple[str, ...]:
    result = results.get(name, {"status": "not measured"})
    if result["status"] != "ok":
        return name, result["status"], "", "", "", ""
    peer, times_as_long = fastest_peer(result)
    note = result["note"]
    return (
        name, f"{own_us(result):.4g} us", speed(result), share(result, results),
        f"{times_as_long:.2f}x of {peer}", f"{result['error']:.1e}" + (f", {note}" if note else ""),
    )  # fmt: skip


def markdown(content: dict[str, Any], topics: Mapping[str, Iterable[str]]) -> str:
    """The whole report. Ratios are times of PyTorch's fastest form over neurona's."""
    results = content["results"]
    parts = [" · ".join(f"{key} {value}" for key, value in content.get("machine", {}).items())]
    if "created" in content:
        parts[0] += f" · {content['created']}"
    if "tests" in content:
        parts += [f"{name}: {done['summary']}" for name, done in content["tests"].items()]
    parts += ["## Goals", goals_table(results)]
    header = ("row", "time", "speed", "of copy", "PyTorch's fastest form", "error, note")
    for topic, names in topics.items():
        parts += [f"## {topic}", table(header, [_cells(name, results) for name in names])]
    return "\n\n".join(part for part in parts if part)
