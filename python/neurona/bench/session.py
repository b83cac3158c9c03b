"""Times rows: neurona and its peers in turn, each in a process of its own.

Of every row: prepare in all workers, verify the outputs, find how many calls make a sample, then
rounds of one sample from each worker. The order rotates from round to round, and a pause lets the
threads of the worker before fall asleep.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from . import verify
from .client import Worker, WorkerDied, WorkerError
from .cost import work
from .peers.inputs import Arrays
from .rows import Row
from .statistics import ratio, spread, verdict

OURS = "neurona"
HERE = (OURS, "numpy")  # modules that this interpreter has, whatever serves the other peers
NETWORK_OPS = ("train_step", "infer")
FEWEST_ROUNDS = 5
PEAK_SECONDS = 0.01  # of multiply-adds per round; their median rate counts
Record = dict[str, Any]


# OpenBLAS, behind NumPy, keeps a core busy for 100 ms after a product, ONNX Runtime for up to 60 ms
# after any call, and whoever came next would be measured beside them.
BLAS_SETTLE_MS = 120.0
ONNX_RUNTIME_SETTLE_MS = 70.0


class Variant(NamedTuple):
    """One column of the table: a library and how it is set up."""

    label: str
    module: str
    options: dict[str, Any]
    note: str
    settle_ms: float = 0.0  # for which its threads go on spinning after a call


VARIANTS = (
    Variant(OURS, "neurona", {}, "channels-last memory, as inside its networks"),
    Variant("torch", "torch", {}, "eager, default layout and options"),
    Variant("torch_tuned", "torch", {"tuned": True}, "eager, channels-last, fused optimizer"),
    Variant(
        "torch_compiled", "torch", {"compiled": True}, "as torch_tuned; networks: torch.compile"
    ),
    Variant("jax", "jax", {}, "jit on the CPU, channels-last; steps in one function"),
    Variant(
        "onnxruntime",
        "onnxruntime",
        {},
        "inference; weights packed ahead of the calls",
        ONNX_RUNTIME_SETTLE_MS,
    ),
    Variant("numpy", "numpy", {}, "matmul through its BLAS", BLAS_SETTLE_MS),
)


def select_peers(names: str) -> list[Variant]:
    """The peers of a comma list; ``torch`` stands for its three variants; also ``all``, ``none``.

    Raises ValueError for an unknown name.
    """
    peers = [variant for variant in VARIANTS if variant.label != OURS]
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if wanted == ["all"]:
        return peers
    if wanted == ["none"]:
        return []
    known = {variant.label for variant in peers}
    for name in wanted:
        if name not in known:
            choices = ", ".join([*sorted(known), "all", "none"])
            raise ValueError(f"bench: peers must be among {choices}, got {name!r}")
    return [peer for peer in peers if peer.label in wanted or peer.module in wanted]


@dataclass(frozen=True)
class Settings:
    """How a session measures."""

    threads: int
    rounds: int = 15
    min_sample_ms: float = 20.0
    pause_ms: float = 5.0
    max_row_seconds: float = 40.0
    seed: int = 0
    variant: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Session:
    """The workers of a benchmark; a context manager that ends them.

    ``missing`` says, for each peer that could not start, why.
    """

    def __init__(
        self, settings: Settings, peers: Sequence[Variant], peer_python: str | None = None
    ) -> None:
        self.settings = settings
        self.missing: dict[str, str] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self._variants = {v.label: v for v in (VARIANTS[0], *peers)}
        self._python = peer_python
        self._workers: dict[str, Worker] = {}
        self._last = OURS  # who was measured last
        self._folder = tempfile.TemporaryDirectory(prefix="neurona-bench-")

    def __enter__(self) -> Self:
        try:
            for label in self._variants:
                self._start(label)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        self._folder.cleanup()

    @property
    def labels(self) -> list[str]:
        """The peers that run, neurona first."""
        return list(self._workers)

    def _interpreter(self, module: str) -> str:
        if module in HERE or self._python is None:
            return sys.executable
        return self._python

    def _start(self, label: str) -> None:
        variant = self._variants[label]
        python = self._interpreter(variant.module)
        try:
            worker = Worker(variant.module, python, self.settings.threads)
        except (WorkerError, OSError) as reason:
            self.missing[label] = f"{reason} ({python})"
            return
        self._workers[label] = worker
        self.versions[variant.module] = worker.versions

    def probe(self) -> dict[str, float] | None:
        """Peak rates of multiply-adds and of memory with these threads; None if not to be had."""
        if OURS not in self._workers:
            return None
        threads = self.settings.threads
        probe = {"seconds": 0.2, "mebibytes": 256, "threads": threads}
        try:
            runs = [self._workers[OURS].ask("probe", **probe) for _ in range(3)]
        except WorkerError as reason:
            self.missing["measured peak"] = str(reason)
            return None
        return {key: max(run[key] for run in runs) for key in ("fma_flops", "bandwidth_bytes")}

    def run(self, row: Row) -> list[Record]:
        """One record for each peer that has the row, neurona's first."""
        records: dict[str, Record] = {}
        outputs: dict[str, Arrays] = {}
        for label in list(self._workers):
            record, arrays = self._prepare(label, row)
            if record is not None:
                records[label], outputs[label] = record, arrays
        self._verify(row, records, outputs)
        outputs.clear()
        ready = [label for label, record in records.items() if record["status"] == "ok"]
        if records.get(OURS, {}).get("status") != "wrong":
            samples, peaks = self._time(row, ready, records)
            summarise(row, samples, peaks, records)
        for label in [label for label in self._variants if label not in self._workers]:
            if label not in self.missing:  # it crashed in this row; the next row gets a new process
                self._start(label)
        return list(records.values())

    def _fail(self, label: str, record: Record, reason: WorkerError) -> None:
        record.update(status="error", reason=str(reason))
        if isinstance(reason, WorkerDied):
            self._workers.pop(label).close()

    def _request(self, label: str, row: Row) -> dict[str, Any]:
        options = dict(self._variants[label].options)
        if label == OURS and self.settings.variant:
            options["variant"] = self.settings.variant
        return {
            "name": row.name,
            "op": row.op,
            "direction": row.direction,
            "parameters": row.parameters,
            "seed": self.settings.seed,
            "options": options,
            "folder": self._folder.name,
        }

    def _prepare(self, label: str, row: Row) -> tuple[Record | None, Arrays]:
        record: Record = {
            "name": row.name,
            "direction": row.direction,
            "number": row.number,
            "op": row.op,
            "parameters": row.parameters,
            "peer": label,
            "threads": self.settings.threads,
            "status": "ok",
        }
        try:
            answer = self._workers[label].ask("prepare", **self._request(label, row))
        except WorkerError as reason:
            self._fail(label, record, reason)
            return record, {}
        if "unsupported" in answer:
            return None, {}
        record.update(plan=answer["plan"], first_call_ns=answer["first_call_ns"])
        return record, _take_arrays(answer["outputs"])

    def _truth_of_network(self, row: Row) -> Arrays:
        """Outputs of the same network in float64 on the reference, from a process of its own."""
        worker = Worker("neurona", sys.executable, self.settings.threads)
        try:
            request = self._request(OURS, row)
            answer = worker.ask("prepare", **{**request, "options": {"backend": "reference"}})
        finally:
            worker.close()
        return _take_arrays(answer["outputs"])

    def _expected(self, row: Row, plan: str | None) -> dict[str, verify.Expected]:
        if row.op in NETWORK_OPS:
            return verify.expected_of_network(self._truth_of_network(row))
        return verify.expected_outputs(row, self.settings.seed, plan)

    def _verify(self, row: Row, records: dict[str, Record], outputs: dict[str, Arrays]) -> None:
        expected: dict[bool, dict[str, verify.Expected]] = {}
        for label, record in records.items():
            if record["status"] != "ok":
                continue
            plan = record["plan"]
            wide = verify.plan_widens(plan)
            try:
                if wide not in expected:
                    expected[wide] = self._expected(row, plan)
            except WorkerError as reason:
                record.update(status="error", reason=f"no truth to verify against: {reason}")
                continue
            lines = verify.complaints(expected[wide], outputs[label])
            record["verified"] = "neurona.reference, float64"
            if lines:
                record.update(status="wrong", reason="; ".join(lines))

    def _time(
        self, row: Row, ready: list[str], records: dict[str, Record]
    ) -> tuple[dict[str, list[float]], list[float]]:
        """Nanoseconds of each peer's calls and the peak of each round, in flops."""
        samples: dict[str, list[float]] = {label: [] for label in ready}
        peaks: list[float] = []
        self._pause(BLAS_SETTLE_MS)  # the verification before used NumPy too
        for label in ready:
            min_ns = int(self.settings.min_sample_ms * 1e6)
            answer = self._ask(label, records, samples, "calibrate", min_ns=min_ns)
            if answer is not None:
                records[label]["loops"] = answer["loops"]
        deadline = time.monotonic() + self.settings.max_row_seconds
        for turn in range(self.settings.rounds):
            if turn >= FEWEST_ROUNDS and time.monotonic() > deadline:
                break
            order = list(samples)
            shift = turn % max(1, len(order))
            for label in order[shift:] + order[:shift]:
                loops = records[label]["loops"]
                answer = self._ask(label, records, samples, "time", loops=loops)
                if answer is not None:
                    samples[label].append(answer["ns"])
                if label == OURS and label in samples:
                    # The clock follows what the neighbours do: a peak of another minute is no
                    # yardstick.
                    fields = {"seconds": PEAK_SECONDS, "threads": self.settings.threads}
                    peak = self._ask(label, records, samples, "fma_peak", **fields)
                    if peak is not None:
                        peaks.append(peak["fma_flops"])
        return samples, peaks

    def _pause(self, settle_ms: float) -> None:
        """Wait until the threads of the process before are asleep; not at all without a pause."""
        pause_ms = self.settings.pause_ms
        time.sleep(max(pause_ms, settle_ms) / 1e3 if pause_ms else 0)

    def _ask(
        self,
        label: str,
        records: dict[str, Record],
        samples: dict[str, list[float]],
        command: str,
        **fields: Any,
    ) -> dict[str, Any] | None:
        """The answer to a timing request; a worker that fails drops out of the row."""
        same = label == self._last
        self._pause(0.0 if same else self._variants[self._last].settle_ms)
        self._last = label
        try:
            return self._workers[label].ask(command, **fields)
        except WorkerError as reason:
            self._fail(label, records[label], reason)
            del samples[label]
            return None


def _take_arrays(paths: dict[str, str]) -> Arrays:
    arrays = {}
    for name, path in paths.items():
        arrays[name] = np.load(path, allow_pickle=False)
        Path(path).unlink()
    return arrays


def summarise(
    row: Row,
    samples: dict[str, list[float]],
    peaks: Sequence[float],
    records: dict[str, Record],
) -> None:
    """Fills in medians, quartiles, rates, share of the peak and, for peers, the ratio to ours."""
    flops, traffic = work(row)
    for label, times in samples.items():
        times_spread = spread(times)
        seconds = times_spread.median / 1e9
        records[label].update(
            median_ns=times_spread.median,
            q1_ns=times_spread.q1,
            q3_ns=times_spread.q3,
            iqr_ns=times_spread.iqr,
            samples=len(times),
            flops=flops or None,
            bytes=traffic or None,
            gflops=flops / seconds / 1e9 if flops else None,
            gbytes=traffic / seconds / 1e9 if traffic else None,
            share_of_peak=ratio([flops / ns * 1e9 for ns in times], peaks).median
            if flops and len(peaks) == len(times)
            else None,
        )
        if label != OURS and OURS in samples:
            compared = ratio(times, samples[OURS])
            records[label]["ratio"] = {
                "median": compared.median,
                "q1": compared.q1,
                "q3": compared.q3,
                "verdict": verdict(times, samples[OURS]),
            }


def add_share_of_bandwidth(records: Sequence[Record], probes: dict[str, float] | None) -> None:
    """Adds each record's part of the measured bandwidth; None without a measurement."""
    for record in records:
        rate = record.get("gbytes")
        share = 1e9 * rate / probes["bandwidth_bytes"] if rate and probes else None
        record["share_of_bandwidth"] = share
