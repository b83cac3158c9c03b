"""The compiled kernels; the only module that imports the extension."""

from __future__ import annotations

from typing import Any

try:
    from .. import _core
except ImportError as error:
    raise ImportError(
        "neurona: the compiled kernels (neurona._core) could not be loaded; install a wheel with "
        "`pip install neurona`, or build the source tree with `pip install -e .` (needs CMake and "
        f"a C++20 compiler): {error}"
    ) from error

core: Any = _core


def __getattr__(name: str) -> Any:
    """Everything that the extension offers: kernels, and switches such as `set_num_threads`."""
    return getattr(core, name)


def __dir__() -> list[str]:
    return [name for name in dir(core) if not name.startswith("_")]
