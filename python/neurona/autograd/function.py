"""Function: one differentiable operation, and the node that it leaves in the graph."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..backends.device_array import DeviceArray
from .grad_mode import mode

ndarray = np.ndarray
_new = object.__new__
_order = itertools.count(-1, -1)
_tensor: Any = None


def register_tensor(cls: type) -> None:
    """Called once by the module that defines Tensor, so that results can be wrapped."""
    global _tensor
    _tensor = cls


def is_tensor(value: object) -> bool:
    """Whether a value is a tensor."""
    return isinstance(value, _tensor)


def is_array(value: object) -> bool:
    """Whether a value is an array, on the host or on a device."""
    return isinstance(value, (ndarray, DeviceArray))


def wrap(data: ndarray) -> Any:
    """A tensor around an array (or NumPy scalar), without gradient."""
    tensor = _new(_tensor)
    tensor.data = data if type(data) is ndarray or type(data) is DeviceArray else np.asarray(data)
    tensor.grad = None
    tensor._requires_grad = False
    tensor._node = None
    tensor._version = [0, False]
    tensor._hooks = None
    return tensor


class Function:
    """One differentiable operation; subclass it and call `apply`.

    `forward(ctx, *args)` gets the arguments of `apply` with arrays in place of tensors and returns
    an array, or a tuple whose first element is the only differentiable output. It keeps what
    `backward` needs with `ctx.save_for_backward(...)`. `backward(ctx, dy)` returns one array or
    None per argument. `ctx.needs[i]` says whether argument i needs a gradient. Set `fresh_grads`
    where `backward` always returns new arrays, to spare a copy.

    >>> import neurona
    >>> class Square(neurona.autograd.Function):
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     def backward(ctx, dy):
    ...         (x,) = ctx.saved
    ...         return 2 * x * dy
    >>> x = neurona.tensor([3.0], requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor([6.])
    """

    __slots__ = ("edges", "guards", "hooks", "needs", "order", "retained", "saved")
    fresh_grads = False

    edges: list[Any] | None
    saved: Any
    needs: list[bool]
    order: int
    guards: Any
    hooks: dict[int, Any] | None
    retained: Any

    # `ctx` in place of `self`, so that subclasses may write them as PyTorch's static methods too.
    def forward(ctx, *args: Any) -> Any:
        """Compute the result from arrays; subclasses define it."""
        raise NotImplementedError(f"{type(ctx).__name__}: forward is not defined")

    def backward(ctx, dy: ndarray) -> Any:
        """The gradients of the arguments from that of the result; subclasses define it."""
        raise NotImplementedError(f"{type(ctx).__name__}: backward is not defined")

    def save_for_backward(self, *values: Any) -> None:
        """Keep arrays (or anything else) until backward has run."""
        self.saved = values

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept."""
        return self.saved or ()

    @property
    def needs_input_grad(self) -> list[bool]:
        """Which arguments need a gradient."""
        return self.needs

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward` and record the node when an argument requires a gradient."""
        ctx = cls()
        ctx.saved = None
        if not mode.enabled:
            ctx.needs = [False] * len(args)
            result = cls.forward(
                ctx, *[arg.data if isinstance(arg, _tensor) else arg for arg in args]
            )
            return tuple(map(wrap, result)) if type(result) is tuple else wrap(result)
        recorded = False
        arrays: list[Any] = []
        tensors: list[Any] = []
        edges: list[Any] = []
        needs: list[bool] = []
        for arg in args:
            if isinstance(arg, _tensor):
                arrays.append(arg.data)
                tensors.append(arg)
                if arg._requires_grad:
                    recorded = True
                    node = arg._node
                    edges.append(arg if node is None else node)
                    needs.append(True)
                    continue
            else:
                arrays.append(arg)
            edges.append(None)
            needs.append(False)
        ctx.needs = needs
        result = cls.forward(ctx, *arrays)
        if type(result) is tuple:
            outputs = tuple([wrap(array) for array in result])
            first = outputs[0]
        else:
            outputs = first = wrap(result)
        if recorded:
            ctx.edges = edges
            ctx.order = next(_order)
            ctx.hooks = ctx.retained = None
            ctx.guards = guards = []
            if ctx.saved is not None:
                # The version counters of the tensors whose arrays were saved, with their counts.
                tensors.append(first)
                for value in ctx.saved:
                    if type(value) is ndarray or type(value) is DeviceArray:
                        for tensor in tensors:
                            if tensor.data is value:
                                version = tensor._version
                                guards.append((version, version[0]))
                                break
            first._node = ctx
            first._requires_grad = True
        return outputs
