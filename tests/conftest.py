"""Fixtures: kernel tests run on the reference in float32 and on each ISA that the machine has."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import compare
import neurona._core as core
import neurona.reference as reference

ISAS: list[str] = core.available_isas()


class Backend:
    """The functions of the waist, and the name to print when one of them is wrong."""

    def __init__(self, name: str, ops: ModuleType) -> None:
        self.name = name
        self.ops = ops

    def __getattr__(self, op: str) -> Any:
        return getattr(self.ops, op)

    def __str__(self) -> str:
        return self.name


def _use(name: str) -> Iterator[Backend]:
    if name == "reference":
        yield Backend(name, reference)
        return
    before = core.isa()
    core.set_isa(name)
    yield Backend(name, core)
    core.set_isa(before)


@pytest.fixture(params=["reference", *ISAS])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each implementation of the kernels in turn."""
    yield from _use(request.param)


@pytest.fixture(params=ISAS)
def compiled(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each ISA of the compiled kernels in turn; the number of threads is restored afterwards."""
    threads = core.num_threads()
    yield from _use(request.param)
    core.set_num_threads(threads)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how close each op came to its bound: a loss of accuracy shows before it fails."""
    if compare.WORST:
        terminalreporter.section("worst error / bound")
        for op, ratio in sorted(compare.WORST.items()):
            terminalreporter.line(f"{op:40s} {ratio:.3f}")
