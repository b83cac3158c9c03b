"""Rows in another process, which importing PyTorch and starting the GPU are paid for once.

It lives from row to row until one fails or takes too long: after an error of CUDA, and within a
kernel that hangs, nothing more is to be had from a process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import select
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import place, rows, timing
from .deadline import Deadline

ROW_LIMIT_S = 120
COMPILING_LIMIT_S = 300  # of networks that torch.compile takes minutes for

ROOT = Path(__file__).parents[2]
NEVER = Deadline(None)


def limit_of(name: str) -> int:
    """Seconds that a row may take, with what it builds."""
    return COMPILING_LIMIT_S if name.startswith("step_") else ROW_LIMIT_S


def measure(name: str) -> dict[str, Any]:
    """One row in this process: verified, then timed."""
    case = rows.ROWS[name]()
    result: dict[str, Any] = {"error": case.error, "bound": case.bound, "note": case.note}
    if not case.error <= case.bound:
        return {**result, "status": "wrong", "note": f"error {case.error:.1e} > {case.bound:.1e}"}
    times = timing.interleaved(case.works)
    return result | {"status": "ok", "times": times, "flops": case.flops, "bytes": case.bytes}


def answer(name: str) -> dict[str, Any]:
    """What `measure` returns, or what went wrong, also in clearing up behind it."""
    try:
        result = measure(name)
        gc.collect()
        if not place.rehearsal:
            import torch

            torch.compiler.reset()
            torch.cuda.empty_cache()
            torch.cuda.synchronize()  # an error of CUDA is this row's, and not the next one's
        return result
    except Exception as error:
        traceback.print_exc()
        lines = [type(error).__name__, *str(error).strip().splitlines()]
        return {"status": "failed", "note": ": ".join(dict.fromkeys([lines[0], lines[-1]]))}


def serve() -> None:
    """Measure the rows that standard input names, one JSON object for each on standard output."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    for line in sys.stdin:
        result = answer(line.strip())
        print(json.dumps(result), file=answers, flush=True)
        if result["status"] == "failed":
            return


class Runner:
    """The other process, started anew when it is needed."""

    def __init__(self, environment: Mapping[str, str], rehearsal: bool) -> None:
        self._command = [sys.executable, "-m", "bench.gpu", "--serve"]
        self._command += ["--rehearse"] if rehearsal else []
        self._environment = dict(environment)
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+")

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            )  # fmt: skip
        return self._process

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._errors.close()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "no message"

    def __call__(self, name: str, deadline: Deadline = NEVER) -> dict[str, Any]:
        """What `answer` returns; what ends the process becomes the result."""
        limit = deadline.shorten(limit_of(name))
        process = self._told(name)
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], limit)[0]:
            self.stop()
            return {"status": "timeout", "note": f"after {limit:.0f} s"}
        line = process.stdout.readline()
        if not line:  # it has died
            status = process.wait()
            self.stop()
            return {"status": "failed", "note": f"exit status {status}: {self._last_words()}"}
        result: dict[str, Any] = json.loads(line)
        if result["status"] == "failed":
            self.stop()
        return result

    def _told(self, name: str) -> subprocess.Popen[str]:
        """The process, which knows of the row: a new one if it died after the last."""
        process = self._started()
        try:
            self._tell(process, name)
        except BrokenPipeError:
            self.stop()
            process = self._started()
            with contextlib.suppress(BrokenPipeError):  # then it answers nothing
                self._tell(process, name)
        return process

    @staticmethod
    def _tell(process: subprocess.Popen[str], name: str) -> None:
        assert process.stdin is not None
        process.stdin.write(name + "\n")
        process.stdin.flush()
