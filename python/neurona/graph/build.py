"""The graph of a tensor: data and operations, and edges with the gradients they carry back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .. import autograd
from ..autograd import Function
from ..files import StrPath, atomic_write
from ..tensor import Tensor
from . import text
from .svg import to_svg

_SYMBOLS = {
    "Add": "+",
    "Sub": "−",
    "Mul": "×",
    "Div": "÷",
    "Abs": "|·|",
    "Sum": "Σ",
    "Extremum": "max/min",
    "MatMul": "@",
}
# Operations whose plain-number operand belongs to the label: "× 3", "1 −", "^ 2".
_WITH_NUMBER = {"Add": "+", "Sub": "−", "Mul": "×", "Div": "÷", "Pow": "^"}


class Call(NamedTuple):
    """One operation: its inputs as tensors, nodes of the history, numbers or options."""

    function: type[Function]
    inputs: tuple[Any, ...]
    node: Any


class Node:
    """A box of the drawing: `kind` is "data" or "operation", `name` what the caller gave.

    `value` is the array, None where the history alone does not tell; `grad` the gradient of the
    output with respect to it, None where there is none.
    """

    def __init__(
        self,
        key: str,
        label: str,
        kind: str,
        name: str | None,
        value: np.ndarray | None,
        grad: np.ndarray | None,
    ) -> None:
        self.key, self.label, self.kind, self.name = key, label, kind, name
        self.value, self.grad = value, grad

    @property
    def lines(self) -> list[str]:
        """The text inside: label, "= value", "∂ gradient"."""
        lines = [self.label]
        if self.value is not None:
            shown = text.number(self.value)
            lines.append(shown if shown.startswith("(") else f"= {shown}")
        if self.grad is not None:
            lines.append(f"∂ {text.number(self.grad)}")
        return lines

    def __repr__(self) -> str:
        return f"Node({', '.join(repr(line) for line in self.lines)})"


class Edge(NamedTuple):
    """From an input to an operation; `grad` is the share of the input's gradient that comes back
    this way, None where none does.
    """

    source: Node
    target: Node
    grad: np.ndarray | None


class Graph:
    """Nodes in an order in which inputs come before results, and the edges between them."""

    def __init__(self, nodes: list[Node], edges: list[Edge]) -> None:
        self.nodes, self.edges = nodes, edges

    def __getitem__(self, name: str) -> Node:
        """The node that was given this name; raises KeyError when none was."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def to_dot(self) -> str:
        """The graph in Graphviz's language."""
        return text.to_dot(self)

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flowchart."""
        return text.to_mermaid(self)

    def to_svg(self) -> str:
        """The graph as a picture, laid out from left to right."""
        return to_svg(self)

    _repr_svg_ = to_svg

    def save(self, path: StrPath) -> None:
        """Write the graph, atomically, in the format of the suffix: .svg, .dot, .gv, .mmd.

        Raises ValueError for another suffix.
        """
        writers = {
            ".svg": self.to_svg,
            ".dot": self.to_dot,
            ".gv": self.to_dot,
            ".mmd": self.to_mermaid,
        }
        suffix = text.suffix(path)
        if suffix not in writers:
            raise ValueError(f"save: path must end in {', '.join(writers)}, got {path!r}")
        with atomic_write(path) as file:
            file.write(writers[suffix]().encode())

    def __repr__(self) -> str:
        return f"Graph(nodes={len(self.nodes)}, edges={len(self.edges)})"


def from_tensor(
    output: Tensor, names: Mapping[str, Tensor] | None = None, gradient: Any = None
) -> Graph:
    """The graph of the history that `output` carries: operations, and the leaves that need a
    gradient.

    Gradients are complete; of the values, the history keeps those of the leaves and of `output`,
    and no inputs without gradient: `record` keeps all. Arguments and errors are those of
    `Tape.graph`; raises ValueError when `output` has no history.

    >>> import neurona
    >>> w = neurona.tensor([2.0, 1.0], requires_grad=True)
    >>> from_tensor((w * w).sum(), names={"w": w})["w"].grad
    array([4., 2.], dtype=float32)
    """
    if not isinstance(output, Tensor):
        raise TypeError(f"graph: output must be a Tensor, got {type(output).__name__}")
    if output.grad_fn is None:
        raise ValueError("graph: output must have a history, got a leaf")

    def call_of(source: Any) -> Call | None:
        node = source if isinstance(source, Function) else source._node
        if node is None:
            return None
        if node.edges is None:
            raise RuntimeError(
                "graph: the history was freed by an earlier backward; draw before it, or pass it "
                "retain_graph=True"
            )
        return Call(type(node), tuple(node.edges), node)

    return build(output, call_of, names, gradient)


def _label(call: Call) -> str:
    kind = call.function.__name__
    if kind in _WITH_NUMBER:
        symbol = _WITH_NUMBER[kind]
        first, second = ("" if _is_part(v) else text.number(np.asarray(v)) for v in call.inputs)
        return f"{first} {symbol} {second}".strip()
    return _SYMBOLS.get(kind, kind)


def _is_part(value: Any) -> bool:
    """Whether an argument of an operation is a node of its own."""
    return value is None or isinstance(value, (Tensor, Function))


def build(
    output: Tensor,
    call_of: Callable[[Any], Call | None],
    names: Mapping[str, Tensor] | None,
    gradient: Any,
) -> Graph:
    """Nodes and edges from `output` back to what no call made."""
    labels = _labels(names)
    order, calls = _sorted(output, call_of)
    gradients, shares = _gradients(output, order, calls, gradient)
    nodes: dict[int, Node] = {}
    edges: list[Edge] = []
    for source in order:
        call = calls[id(source)]
        name, tensor = labels.get(id(source), (None, None))
        if isinstance(source, Tensor):
            tensor = source
        if call is None:
            label = name or ("leaf" if source.requires_grad else "const")
        else:
            label = _label(call) if name is None else f"{name}: {_label(call)}"
        node = nodes[id(source)] = Node(
            f"n{len(nodes)}",
            label,
            "data" if call is None else "operation",
            name,
            None if tensor is None else tensor.data,
            gradients.get(_identity(source, call)),
        )
        for position, given in enumerate(call.inputs if call else ()):
            if call and given is not None and _is_part(given):
                share = shares.get((id(call.node), position))
                edges.append(Edge(nodes[id(given)], node, share))
    return Graph(list(nodes.values()), edges)


def _labels(names: Mapping[str, Tensor] | None) -> dict[int, tuple[str, Tensor]]:
    """Names by the identity of the tensor, and of the operation that made it."""
    labels: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in (names or {}).items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"graph: names must map to Tensors, got {type(tensor).__name__}")
        labels[id(tensor)] = (name, tensor)
        if tensor._node is not None:
            labels[id(tensor._node)] = (name, tensor)
    return labels


def _identity(source: Any, call: Call | None) -> int:
    """Where the gradient of a tensor is kept: under its operation, or itself for a leaf."""
    return id(source) if call is None or call.node is None else id(call.node)


def _sorted(
    output: Tensor, call_of: Callable[[Any], Call | None]
) -> tuple[list[Any], dict[int, Call | None]]:
    """Everything that `output` depends on, inputs first; without recursion, for deep networks."""
    order: list[Any] = []
    calls: dict[int, Call | None] = {}
    stack: list[tuple[Any, bool]] = [(output, False)]
    while stack:
        source, ready = stack.pop()
        if ready:
            order.append(source)
            continue
        if id(source) in calls:
            continue
        call = calls[id(source)] = call_of(source)
        stack.append((source, True))
        for given in reversed(call.inputs if call else ()):
            if given is not None and _is_part(given):
                stack.append((given, False))
    return order, calls


def _gradients(
    output: Tensor, order: list[Any], calls: dict[int, Call | None], gradient: Any
) -> tuple[dict[int, np.ndarray], dict[tuple[int, int], np.ndarray]]:
    """The gradient at every leaf and operation, by identity, and the shares by (operation,
    argument).

    The engine runs as in a real backward; hooks watch what passes each operation.
    """
    if not output.requires_grad:
        return {}, {}
    found: dict[int, np.ndarray] = {}
    shares: dict[tuple[int, int], np.ndarray] = {}
    handles = []
    leaves = []
    for source in order:
        call = calls[id(source)]
        if call is None:
            if source.requires_grad:
                leaves.append(source)
        elif call.node is not None:
            watched: Any = SimpleNamespace(_node=call.node)
            handles.append(autograd.add_hook(watched, _keep(call.node, found, shares)))
    try:
        results = autograd.grad(output, leaves, gradient, True, allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
    for leaf, result in zip(leaves, results, strict=True):
        if result is not None:
            found[id(leaf)] = result.data
    return found, shares


def _keep(
    node: Any, found: dict[int, np.ndarray], shares: dict[tuple[int, int], np.ndarray]
) -> Callable[[Tensor], None]:
    def hook(grad: Tensor) -> None:
        found[id(node)] = grad.data.copy()
        results = type(node).backward(node, grad.data)
        for position, share in enumerate(results if isinstance(results, tuple) else (results,)):
            if share is not None and node.needs[position]:
                shares[id(node), position] = np.array(getattr(share, "data", share))

    return hook
