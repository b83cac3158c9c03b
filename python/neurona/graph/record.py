"""Watching operations: what the history of a tensor does not keep are the values on the way and the
inputs that need no gradient.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..autograd import Function
from ..tensor import Tensor
from .build import Call, Graph, build

_lock = threading.Lock()
_tapes: list[Tape] = []
_apply: Any = Function.__dict__["apply"]


class _Recorded(NamedTuple):
    function: type[Function]
    inputs: tuple[Any, ...]
    output: Tensor


class Tape:
    """The operations of one `record` block, in order."""

    def __init__(self) -> None:
        self.calls: list[_Recorded] = []
        self._thread = threading.get_ident()

    def graph(
        self, output: Tensor, names: Mapping[str, Tensor] | None = None, gradient: Any = None
    ) -> Graph:
        """The graph that ends in `output`, with values, and gradients where `output` has any.

        `names` labels tensors; `gradient` is the upstream gradient, needed unless `output` is a
        scalar. No `grad` of a tensor changes, and `backward` may follow; one that came before must
        have kept the graph. Raises ValueError when `output` was not made inside the block,
        RuntimeError as `backward` does.
        """
        if not isinstance(output, Tensor):
            raise TypeError(f"graph: output must be a Tensor, got {type(output).__name__}")
        made = {id(call.output): call for call in self.calls}
        if id(output) not in made:
            raise ValueError("graph: output must be made inside the record block")

        def call_of(tensor: Any) -> Call | None:
            call = made.get(id(tensor))
            return None if call is None else Call(call.function, call.inputs, call.output._node)

        return build(output, call_of, names, gradient)


@contextmanager
def record() -> Iterator[Tape]:
    """Record the operations of this thread inside the block.

    Recording swaps `Function.apply` while any block is open, so that operations outside pay
    nothing for it.

    >>> import neurona
    >>> with record() as tape:
    ...     _ = neurona.ones(2).exp() * 2
    >>> [call.function.__name__ for call in tape.calls]
    ['Exp', 'Mul']
    """
    tape = Tape()
    with _lock:
        _tapes.append(tape)
        Function.apply = classmethod(_recording_apply)  # type: ignore[method-assign, assignment]
    try:
        yield tape
    finally:
        with _lock:
            _tapes.remove(tape)
            if not _tapes:
                Function.apply = _apply  # type: ignore[method-assign]


def _recording_apply(cls: type[Function], *args: Any) -> Any:
    result = _apply.__func__(cls, *args)
    first = result[0] if isinstance(result, tuple) else result
    here = threading.get_ident()
    for tape in tuple(_tapes):
        if tape._thread == here:
            tape.calls.append(_Recorded(cls, args, first))
    return result
