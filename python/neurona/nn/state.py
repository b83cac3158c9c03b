"""Copies a state_dict into a module: everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd import is_array, no_grad
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found: keys the module has and the state lacks, and the reverse."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def named_state(module: Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers of `module`, in order of definition; a shared one appears
    under each name.
    """
    for path, owner in module.named_modules(prefix=prefix.rstrip("."), remove_duplicate=False):
        dot = path + "." if path else ""
        for kind in ("parameter", "buffer"):
            for name, tensor in owner._members(kind):
                if tensor is not None and name not in owner._transient:
                    yield dot + name, tensor


def load(module: Module, state: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """Check all keys, shapes and kinds of dtype, then copy (or, with `assign`, adopt) the
    arrays.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"load_state_dict: state_dict must be a mapping, got {type(state).__name__}"
        )
    targets = dict(named_state(module, ""))
    missing = [name for name in targets if name not in state]
    unexpected = [name for name in state if name not in targets]
    shapes: list[str] = []
    kinds: list[str] = []
    sources: dict[str, np.ndarray] = {}
    for name, target in targets.items():
        if name not in state:
            continue
        source = state[name].data if isinstance(state[name], Tensor) else state[name]
        if not (is_array(source) or isinstance(source, np.generic)):
            kinds.append(f"{name}: expected a Tensor or an ndarray, got {type(source).__name__}")
            continue
        sources[name] = source if is_array(source) else np.asarray(source)
        if source.shape != target.shape:
            shapes.append(f"{name}: expected shape {tuple(target.shape)}, got {source.shape}")
        if _kind(source.dtype) != _kind(target.data.dtype):
            kinds.append(f"{name}: expected dtype {target.data.dtype}, got {source.dtype}")

    lines = list(shapes + kinds)
    if strict:
        lines += [f"missing key: {name}" for name in missing]
        lines += [f"unexpected key: {name}" for name in unexpected]
    if lines:
        text = f"load_state_dict: the state does not fit {type(module).__name__}\n  " + "\n  ".join(
            lines
        )
        raise TypeError(text) if len(lines) == len(kinds) else ValueError(text)

    with no_grad():
        for name, source in sources.items():
            if assign:
                targets[name].data = source
            else:
                targets[name].copy_(Tensor(source))
    return IncompatibleKeys(missing, unexpected)


def _kind(dtype: np.dtype) -> str:
    """Floats load into floats of any width and integers into integers, as in PyTorch; nothing else
    does.
    """
    return "i" if dtype.kind in "iu" else dtype.kind
