"""Where the rows run: on a GPU, or as a rehearsal without one.

A rehearsal takes the emulated device, or with NEURONA_TEST_DEVICE=ptx what nvcc compiles on the PTX
machine, and PyTorch on the CPU, with small sizes: it proves that every row builds its inputs, calls
both libraries and agrees, so that none fails in the minutes when a GPU is at hand. Its times mean
nothing and are not written.
"""

from __future__ import annotations

import time
from typing import Any

rehearsal = False


def begin_rehearsal() -> None:
    """Take a device of the host from here on, as one of sm_90a that packs what it can."""
    global rehearsal
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    import emulated
    from neurona.backends import cuda

    device = emulated.device_module()
    if not emulated.ON_PTX_MACHINE:
        device.set_capability(90)
    device.set_packing("always")
    cuda.use_extension(device)
    rehearsal = True


def torch_device() -> str:
    """PyTorch's side."""
    return "cpu" if rehearsal else "cuda"


def size(wanted: int, small: int) -> int:
    """The size of a row, or that of its rehearsal."""
    return min(wanted, small) if rehearsal else wanted


class HostStopwatch:
    """Milliseconds of the host's clock, for a rehearsal."""

    def start(self) -> None:
        """From now."""
        self._begin = time.perf_counter()

    def stop(self) -> float:
        """Until now."""
        return 1e3 * (time.perf_counter() - self._begin)


class TorchStopwatch:
    """Milliseconds on PyTorch's stream."""

    def start(self) -> None:
        """After what the stream was told before."""
        import torch

        self._start, self._stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._start.record()

    def stop(self) -> float:
        """When all that it was told since is done."""
        self._stop.record()
        self._stop.synchronize()
        return float(self._start.elapsed_time(self._stop))


def stopwatch(name: str) -> Any:
    """That of the stream on which a work runs: neurona's, or PyTorch's."""
    from neurona.backends import cuda

    if name.startswith("neurona") and hasattr(cuda.extension(), "Stopwatch"):
        return cuda.extension().Stopwatch()
    return HostStopwatch() if rehearsal else TorchStopwatch()
