"""The driver's end of a worker process: start, ask, and survive its crash or silence."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).parent / "peers" / "launch.py"
PACKAGES = Path(__file__).resolve().parents[2]
THREAD_VARIABLES = (
    "NEURONA_NUM_THREADS",
    "NEURONA_BENCH_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class WorkerError(Exception):
    """A worker refused a request; the worker itself lives on."""


class WorkerDied(WorkerError):
    """A worker crashed, or did not answer in time and was ended."""


def worker_environment(module: str, threads: int) -> dict[str, str]:
    """The environment of a worker: every library's thread count; for neurona, this package."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    if module == "neurona":
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKAGES), inherited]))
    return environment


class Worker:
    """One library in its own process.

    ``module`` names the file ``peers/<module>_peer.py``. Raises WorkerDied when the library cannot
    be imported there.
    """

    def __init__(self, module: str, python: str, threads: int, *, timeout: float = 600.0) -> None:
        self.module = module
        self.timeout = timeout
        self._log = tempfile.TemporaryFile()
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [python, str(LAUNCHER), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=worker_environment(module, threads),
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.versions: dict[str, str] = self.ask("hello")["versions"]
        except WorkerError:
            self.close()
            raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """The worker's answer. Raises WorkerError with its reason, WorkerDied without one."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"command": command, **fields}) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=self.timeout)
        except (BrokenPipeError, OSError):
            line = None
        except queue.Empty:
            self.close()
            raise WorkerDied(f"no answer to {command} within {self.timeout:g} s") from None
        if line is None:
            raise WorkerDied(self._death())
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise WorkerError(answer["error"])
        return answer

    def _death(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        if code < 0:
            return f"crashed ({signal.Signals(-code).name})"
        return lines[-1] if lines else f"ended with exit status {code}"

    def close(self) -> None:
        """Ends the process and waits for it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone already
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()
