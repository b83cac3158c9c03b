"""The loop of a worker process: one JSON object per line in, one out.

Requests are ``{"command": ..., ...}``, answers ``{"ok": true, ...}`` or ``{"ok": false, "error":
text}``. Between requests the process sleeps in a read of its standard input, so that another peer
has the machine to itself.

    hello                                       -> peer, versions
    prepare name op direction parameters seed options folder
                                                -> first_call_ns, plan, outputs (name -> .npy file);
                                                   or unsupported (why)
    calibrate min_ns                            -> loops: calls that together take at least min_ns
    time loops                                  -> ns per call, after one that is not counted
    memory                                      -> peak_bytes of this process, or null
    anything else                               -> given to the peer's own
                                                   ``extra(command, request)``
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .inputs import Array, Parameters

MAX_LOOPS = 1_000_000


class Unsupported(Exception):
    """The library has no counterpart of the row."""


@dataclass
class Request:
    """What ``prepare`` asks for."""

    name: str
    op: str
    direction: str
    parameters: Parameters
    seed: int
    options: dict[str, Any]


@dataclass
class Task:
    """One row, ready to be called.

    ``run`` is what is timed; ``outputs`` names its result's arrays for the verification, in
    PyTorch's shapes; ``reset``, called before every sample and not timed, undoes what calls change.
    """

    run: Callable[[], Any]
    outputs: Callable[[Any], dict[str, Array]]
    reset: Callable[[], None] | None = None
    plan: str | None = None


class Peer(Protocol):
    """The module of one library."""

    NAME: str

    def versions(self) -> dict[str, str]: ...

    def prepare(self, request: Request) -> Task: ...

    def extra(self, command: str, request: dict[str, Any]) -> dict[str, Any]: ...


def peak_bytes() -> int | None:
    """Peak resident memory of this process; None where the system does not say."""
    try:
        # getrusage would count the parent's pages held between fork and exec.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def elapsed_ns(run: Callable[[], Any], loops: int) -> int:
    """Nanoseconds for ``loops`` calls."""
    repeat = range(loops)
    start = time.perf_counter_ns()
    for _ in repeat:
        run()
    return time.perf_counter_ns() - start


def calibrate(task: Task, min_ns: int) -> int:
    """The number of calls that together take at least ``min_ns``."""
    loops = 1
    while True:
        if task.reset:
            task.reset()
        elapsed = elapsed_ns(task.run, loops)
        if elapsed >= min_ns or loops >= MAX_LOOPS:
            return loops
        wanted = loops * min_ns / max(elapsed, 1)
        loops = min(MAX_LOOPS, max(loops + 1, min(10 * loops, int(1.1 * wanted) + 1)))


class _Server:
    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.task: Task | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        command = request["command"]
        if command == "hello":
            return {"peer": self.peer.NAME, "versions": self.peer.versions()}
        if command == "prepare":
            return self._prepare(request)
        if command == "memory":
            return {"peak_bytes": peak_bytes()}
        if command in ("calibrate", "time"):
            if self.task is None:
                raise RuntimeError("no row is prepared")
            return self._time(self.task, request)
        return self.peer.extra(command, request)

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        self.task = None
        gc.collect()
        fields = ("name", "op", "direction", "parameters", "seed", "options")
        try:
            task = self.peer.prepare(Request(**{field: request[field] for field in fields}))
        except Unsupported as reason:
            return {"unsupported": str(reason)}
        start = time.perf_counter_ns()
        result = task.run()
        first_call_ns = time.perf_counter_ns() - start
        outputs = {}
        for number, (name, array) in enumerate(task.outputs(result).items()):
            path = Path(request["folder"]) / f"{os.getpid()}-{number}.npy"
            np.save(path, np.array(array, order="C"), allow_pickle=False)
            outputs[name] = str(path)
        self.task = task
        return {"first_call_ns": first_call_ns, "plan": task.plan, "outputs": outputs}

    def _time(self, task: Task, request: dict[str, Any]) -> dict[str, Any]:
        gc.collect()
        gc.disable()
        try:
            if request["command"] == "calibrate":
                return {"loops": calibrate(task, request["min_ns"])}
            if task.reset:
                task.reset()
            # The caches hold what the peer before left and this one's threads sleep: of a sample of
            # a few calls the first would be a tenth.
            task.run()
            return {"ns": elapsed_ns(task.run, request["loops"]) / request["loops"]}
        finally:
            gc.enable()


def serve(peer: Peer) -> None:
    """Answers requests until standard input ends."""
    # What a library prints must not reach the protocol: its standard output becomes standard error.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    server = _Server(peer)
    for line in sys.stdin:
        try:
            reply = {"ok": True, **server.answer(json.loads(line))}
        except Exception as error:
            reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()
