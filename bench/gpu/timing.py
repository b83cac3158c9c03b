"""Times of work on a device: events around many launches, the libraries in turn."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from . import place

GROUPS = 7  # whose median counts
LAUNCHES = 20  # at least, in a group
GROUP_MS = 20.0  # a group takes about as long, so that the clock has settled

Work = Callable[[], Any]


def _milliseconds(watch: Any, work: Work, launches: int) -> float:
    watch.start()
    for _ in range(launches):
        work()
    return float(watch.stop())


def interleaved(works: dict[str, Work]) -> dict[str, dict[str, float]]:
    """Microseconds of one call of each work: median and quartiles over groups taken in turn."""
    watches = {name: place.stopwatch(name) for name in works}
    launches = {}
    for name, work in works.items():
        if place.rehearsal:
            launches[name] = 1
            continue
        _milliseconds(watches[name], work, 3)  # lazy loading, tuning, first allocations
        one = _milliseconds(watches[name], work, 5) / 5
        launches[name] = max(LAUNCHES, int(GROUP_MS / max(one, 1e-3)))
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(2 if place.rehearsal else GROUPS):
        for name, work in works.items():
            total = _milliseconds(watches[name], work, launches[name])
            samples[name].append(1e3 * total / launches[name])
    quartiles = ("q1_us", "median_us", "q3_us")
    return {
        name: dict(zip(quartiles, statistics.quantiles(times, n=4), strict=True))
        for name, times in samples.items()
    }
