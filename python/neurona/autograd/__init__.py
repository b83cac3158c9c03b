"""Reverse-mode automatic differentiation.

A `Function` is one differentiable operation on arrays. Applied to tensors it leaves itself in the
graph as a node, holding what its `backward` needs and one edge per input: to the node that made it,
or to the leaf tensor. `backward` walks that graph.
"""

from __future__ import annotations

from .engine import HookHandle, add_hook, backward, grad, retain
from .function import Function, is_array, ndarray, register_tensor, wrap
from .grad_mode import enable_grad, is_grad_enabled, mode, no_grad, set_grad_enabled
from .gradcheck import gradcheck

__all__ = [
    "Function",
    "HookHandle",
    "add_hook",
    "backward",
    "enable_grad",
    "grad",
    "gradcheck",
    "is_array",
    "is_grad_enabled",
    "mode",
    "ndarray",
    "no_grad",
    "register_tensor",
    "retain",
    "set_grad_enabled",
    "wrap",
]
