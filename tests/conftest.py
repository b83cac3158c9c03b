"""Fixtures: kernel tests run on the reference in float32, on each ISA that the machine has, and on
the CUDA kernels as the host emulates them, under three schedules of their threads.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import cases
import compare
import emulated
import neurona._core as core
import neurona.reference as reference

ISAS: list[str] = core.available_isas()
DEVICES = [
    f"cuda-{schedule}" for schedule in (("gpu",) if emulated.ON_A_GPU else emulated.SCHEDULES)
]


class Backend:
    """The functions of the waist, and the name to print when one of them is wrong."""

    def __init__(self, name: str, ops: ModuleType | emulated.DeviceOps) -> None:
        self.name = name
        self.ops = ops

    def __getattr__(self, op: str) -> Any:
        return getattr(self.ops, op)

    def __str__(self) -> str:
        return self.name


@functools.cache
def _device() -> emulated.DeviceOps:
    return emulated.DeviceOps(emulated.device_module())


def _use(name: str) -> Iterator[Backend]:
    if name == "reference":
        yield Backend(name, reference)
        return
    if name in DEVICES:
        yield Backend(name, emulated.DeviceOps(emulated.device_with(name)))
        return
    before = core.isa()
    core.set_isa(name)
    yield Backend(name, core)
    core.set_isa(before)


@pytest.fixture(params=["reference", *ISAS, *DEVICES])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each implementation of the kernels in turn."""
    yield from _use(request.param)


@pytest.fixture(params=ISAS)
def compiled(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each ISA of the compiled kernels in turn; the number of threads is restored afterwards."""
    threads = core.num_threads()
    yield from _use(request.param)
    core.set_num_threads(threads)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the shapes that a device on the host need not compute."""
    if emulated.ON_A_GPU and not emulated.ON_PTX_MACHINE:
        return

    def is_spared(item: pytest.Item) -> bool:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        return parameters.get("backend") in DEVICES and parameters.get("case") in cases.FOR_THE_CPU

    spared = [item for item in items if is_spared(item)]
    items[:] = [item for item in items if not is_spared(item)]
    config.hook.pytest_deselected(items=spared)


def pytest_sessionfinish(session: Any) -> None:
    """One of several processes that share the tests tells the first one its worst errors."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["worst"] = compare.WORST


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """pytest-xdist's: a process has ended."""
    for op, ratio in getattr(node, "workeroutput", {}).get("worst", {}).items():
        compare.WORST[op] = max(compare.WORST.get(op, 0.0), ratio)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how close each op came to its bound: a loss of accuracy shows before it fails."""
    if compare.WORST:
        terminalreporter.section("worst error / bound")
        for op, ratio in sorted(compare.WORST.items()):
            terminalreporter.line(f"{op:40s} {ratio:.3f}")
