"""The engine: from the gradient of a result to those of the leaves.

It visits nodes from the youngest to the oldest. A node is always younger than those it reads from,
so all contributions to a gradient have arrived when its node is due; a heap is all the order that
is needed, and nothing recurses.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from .. import backends
from .function import Function, is_array, is_tensor, ndarray, wrap
from .grad_mode import mode


def _call_hooks(hooks: Iterable[Callable[[Any], Any]], grad: ndarray) -> ndarray:
    for hook in tuple(hooks):
        changed = hook(wrap(grad))
        if changed is not None:
            grad = changed.data
    return grad


def _sum_of(a: ndarray, b: ndarray) -> ndarray:
    return backends.current(a.dtype).add(a, b)


def _freed(node: Function) -> RuntimeError:
    return RuntimeError(
        f"backward: the graph of {type(node).__name__} was freed by an earlier backward; "
        "pass retain_graph=True to that one to go through the graph again"
    )


def _check_guards(node: Any) -> None:
    for version, expected in node.guards:
        if version[0] != expected:
            raise RuntimeError(
                f"{type(node).__name__} backward: a tensor that it saved was changed in place, "
                f"expected version {expected}, got version {version[0]}"
            )


def _as_gradient(node: Function, value: Any) -> ndarray:
    """The array of what a backward returned in another form."""
    if is_tensor(value):
        return value.data
    if is_array(value):
        return value
    if isinstance(value, np.generic):
        return np.asarray(value)
    raise TypeError(
        f"{type(node).__name__} backward: gradients must be arrays or None, "
        f"got {type(value).__name__}"
    )


def _propagate(
    root: Function, seed: ndarray, retain_graph: bool, captured: dict[Function, Any]
) -> dict[int, list[Any]]:
    """Carry `seed` from `root` to the leaves: {id: [leaf, gradient, whether it is ours alone]}.

    The gradients of the nodes that are keys of `captured` are stored there.
    """
    grads: dict[Any, ndarray] = {root: seed}
    due: list[tuple[int, Any]] = [(root.order, root)]
    leaves: dict[int, list[Any]] = {}
    while due:
        node = heappop(due)[1]
        dy = grads.pop(node)
        edges = node.edges
        if edges is None:
            raise _freed(node)
        if node.hooks:
            dy = _call_hooks(node.hooks.values(), dy)
        if node.retained is not None:
            _retain(node.retained(), dy)
        if node in captured:
            captured[node] = dy
        if node.guards:
            _check_guards(node)
        results = type(node).backward(node, dy)
        if type(results) is not tuple:
            results = (results,)
        for edge, grad in zip(edges, results):  # noqa: B905  trailing arguments may be left out
            if edge is None or grad is None:
                continue
            if type(grad) is not ndarray:
                grad = _as_gradient(node, grad)
            if isinstance(edge, Function):
                if edge in grads:
                    grads[edge] = _sum_of(grads[edge], grad)
                else:
                    grads[edge] = grad
                    heappush(due, (edge.order, edge))
                continue
            if grad.shape != edge.data.shape:
                raise RuntimeError(
                    f"{type(node).__name__} backward: a gradient must have the shape of its input "
                    f"{edge.data.shape}, got {grad.shape}"
                )
            entry = leaves.get(id(edge))
            if entry is None:
                leaves[id(edge)] = [edge, grad, node.fresh_grads]
            else:
                entry[1:] = [_sum_of(entry[1], grad), True]
        if not retain_graph:
            node.edges = node.saved = node.guards = None
    return leaves


def _retain(tensor: Any, grad: ndarray) -> None:
    if tensor is not None:
        accumulate(tensor, grad, False)


def accumulate(tensor: Any, grad: ndarray, owned: bool) -> None:
    """Add `grad` to `tensor.grad`; an array that others may hold is copied first."""
    if tensor.grad is None:
        tensor.grad = wrap(grad if owned else grad.copy(order="K"))
    else:
        total = tensor.grad.data
        with np.errstate(all="ignore"):
            np.add(total, grad, out=total)
        tensor.grad._version[0] += 1


def _seed(op: str, tensor: Any, gradient: Any) -> ndarray:
    """The gradient to start with: 1 for a scalar, else the one given, checked."""
    if not tensor._requires_grad:
        raise RuntimeError(f"{op}: the tensor has no graph, since it does not require grad")
    data = tensor.data
    if gradient is None:
        if data.size != 1:
            raise RuntimeError(
                f"{op}: a gradient must be given for a tensor that is no scalar, "
                f"got shape {data.shape}"
            )
        if not data.shape and backends.active_name() == "recording":
            return backends.RECORDED_ONE
        return np.ones_like(data)
    array = gradient.data if is_tensor(gradient) else gradient
    if not is_array(array):
        raise TypeError(f"{op}: gradient must be a Tensor, got {type(gradient).__name__}")
    if array.shape != data.shape:
        raise ValueError(f"{op}: gradient must have shape {data.shape}, got shape {array.shape}")
    if array.dtype != data.dtype:
        raise TypeError(f"{op}: gradient must have dtype {data.dtype}, got {array.dtype}")
    return array


def _run(
    tensor: Any, seed: ndarray, retain_graph: bool, captured: dict[Function, Any]
) -> dict[int, list[Any]]:
    """`_propagate` with recording off, then the hooks of the leaves."""
    recording, mode.enabled = mode.enabled, False
    try:
        if tensor._node is None:
            leaves = {id(tensor): [tensor, seed, False]}
        else:
            leaves = _propagate(tensor._node, seed, retain_graph, captured)
        for entry in leaves.values():
            if entry[0]._hooks:
                entry[1:] = [_call_hooks(entry[0]._hooks.values(), entry[1]), False]
        return leaves
    finally:
        mode.enabled = recording


def backward(tensor: Any, gradient: Any = None, retain_graph: bool | None = None) -> None:
    """Add the gradient of `tensor` with respect to every leaf to the leaf's `grad`.

    `gradient` is the upstream gradient, of the tensor's shape; 1 for a scalar. The graph is freed
    unless `retain_graph`. No `grad` changes when anything on the way raises. Raises RuntimeError
    without a graph, for a tensor that is no scalar, for a graph already freed and for a saved
    tensor changed in place; ValueError or TypeError for a gradient that does not fit.

    >>> import neurona
    >>> x = neurona.tensor([1.0, 2.0], requires_grad=True)
    >>> neurona.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    seed = _seed("backward", tensor, gradient)
    for leaf, grad, owned in _run(tensor, seed, bool(retain_graph), {}).values():
        accumulate(leaf, grad, owned)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    *,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """The gradients of one output with respect to `inputs`, leaves or not, leaving `grad` alone.

    Raises RuntimeError like `backward`, and for an input that the output does not depend on unless
    `allow_unused`, which gives None.

    >>> import neurona
    >>> x = neurona.tensor([3.0], requires_grad=True)
    >>> neurona.autograd.grad(x * x, x)
    (tensor([6.]),)
    """
    wanted: Sequence[Any] = (inputs,) if is_tensor(inputs) else tuple(inputs)
    captured: dict[Function, Any] = {t._node: None for t in wanted if t._node is not None}
    seed = _seed("grad", outputs, grad_outputs)
    leaves = _run(outputs, seed, bool(retain_graph), captured)
    results = []
    for position, tensor in enumerate(wanted):
        found = (
            leaves.get(id(tensor), [None, None])[1]
            if tensor._node is None
            else captured[tensor._node]
        )
        if found is None and not allow_unused:
            raise RuntimeError(
                f"grad: inputs[{position}] must be part of the graph of outputs "
                "(or pass allow_unused=True)"
            )
        results.append(None if found is None else wrap(found.copy(order="K")))
    return tuple(results)


class HookHandle:
    """What `Tensor.register_hook` returns; `remove` takes the hook away."""

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self._key, None)


_hook_keys = itertools.count()


def add_hook(tensor: Any, hook: Callable[[Any], Any]) -> HookHandle:
    """Call `hook(grad)` when the gradient of `tensor` is known; what it returns replaces it."""
    owner, name = (tensor, "_hooks") if tensor._node is None else (tensor._node, "hooks")
    hooks = getattr(owner, name)
    if hooks is None:
        hooks = {}
        setattr(owner, name, hooks)
    key = next(_hook_keys)
    hooks[key] = hook
    return HookHandle(hooks, key)


def retain(tensor: Any) -> None:
    """Keep the gradient of a tensor that is no leaf in its `grad`."""
    if tensor._node is not None:
        tensor._node.retained = weakref.ref(tensor)
