"""Who imports whom: each layer of the Python package and of the C++ tree sees those below it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "neurona"
SOURCES = ROOT / "csrc"

# Layer -> what it may import of neurona besides itself. Layers not named here may import all.
PYTHON = {
    "reference": set(),
    "errors": set(),
    "random": {"reference", "backends", "errors"},
    "backends": {"_core", "_cuda", "reference", "errors"},
    "autograd": {"backends", "errors"},
    "functions": {"autograd", "backends", "errors"},
    "tensor": {"autograd", "functions", "backends", "random", "errors"},
    "nn": {"autograd", "functions", "backends", "tensor", "creation", "random", "errors"},
    "optim": {"backends", "tensor", "autograd", "errors"},
    "_core": set(),
}
# Folder of a file -> prefixes of the project's own headers that it may include. The headers of
# kernels are the parts of the kernel table; its .inl files are included by kernels alone. Those of
# ops are the interface that cuda implements once more, for the bindings to call.
CPP = {
    "core": {"core"},
    "kernels": {"kernels"},
    "ops": {"ops", "core", "kernels"},
    "cuda": {"cuda", "ops", "core"},
    "bindings": {"bindings", "ops", "cuda", "core", "pybind11", "kernels/select.h"},
}

# Standard headers with inline code that the linker would share between objects of different ISAs.
SHARED_CODE = {
    "algorithm",
    "atomic",
    "functional",
    "iostream",
    "memory",
    "mutex",
    "stdexcept",
    "string",
    "thread",
    "vector",
}


def layer(path: Path) -> str:
    """The first part of a module's name below the package."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> set[str]:
    """The modules of neurona, as first parts below the package, that a file imports anywhere."""
    here = ["neurona", *path.relative_to(PACKAGE).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("neurona.")}
    return found


def outside(path: Path) -> set[str]:
    """The first parts of all modules from outside the package that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found - {"neurona"}


PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))
CPP_FILES = sorted(
    p for p in SOURCES.rglob("*") if p.suffix in (".h", ".cpp", ".inl", ".cu", ".cuh")
)


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_python_layers(path: Path) -> None:
    """A layer imports itself and the layers below it."""
    name = layer(path)
    if name in PYTHON:
        forbidden = imports(path) - {name} - PYTHON[name]
        assert not forbidden, f"{name} may not import {forbidden}"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_one_place_imports_the_extension(path: Path) -> None:
    """`_core` and `_cuda` are imported by backends alone."""
    if layer(path) != "backends":
        assert not imports(path) & {"_core", "_cuda"}


def test_the_reference_needs_numpy_alone() -> None:
    """Nothing beyond NumPy and light parts of the standard library."""
    allowed = {"__future__", "numpy", "math", "typing", "collections"}
    for path in (PACKAGE / "reference").glob("*.py"):
        assert outside(path) <= allowed, path.name


def own_includes(path: Path) -> list[str]:
    """The project's headers that a file includes, by their path below csrc, and pybind11's."""
    return re.findall(r'^\s*#\s*include\s*"([^"]+)"', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", CPP_FILES, ids=lambda p: str(p.relative_to(SOURCES)))
def test_cpp_layers(path: Path) -> None:
    """core includes core, kernels include kernels, ops the kernel table, bindings ops and core."""
    folder = path.relative_to(SOURCES).parts[0]
    allowed = CPP[folder] | ({"core/cpu.h"} if path.name == "select.cpp" else set())
    for header in own_includes(path):
        assert any(header == a or header.startswith(f"{a}/") for a in allowed), (
            f"{path.name} includes {header}"
        )
        assert folder == "kernels" or not header.endswith(".inl"), f"{path.name} includes {header}"


@pytest.mark.parametrize("path", CPP_FILES, ids=lambda p: str(p.relative_to(SOURCES)))
def test_pybind11_stays_in_the_bindings(path: Path) -> None:
    """Only csrc/bindings knows Python; per-ISA files know no containers, threads or exceptions."""
    text = path.read_text()
    relative = path.relative_to(SOURCES)
    if relative.parts[0] != "bindings":
        assert "pybind11" not in text and "Python.h" not in text
    if path.suffix == ".inl":
        included = set(re.findall(r"#\s*include\s*<(\w+)>", text))
        assert not included & SHARED_CODE, relative
        assert "throw " not in text, relative
