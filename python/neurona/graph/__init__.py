"""Computational graphs as drawings: data and operations with their values and gradients.

`record` watches operations as they run, constants included; `Graph.draw` turns them, or the
history that a tensor carries anyway, into DOT, Mermaid or SVG text.

>>> import neurona
>>> from neurona import graph
>>> a, b, c = (neurona.tensor(v, requires_grad=True) for v in (5.0, 3.0, 2.0))
>>> with graph.record() as tape:
...     j = 3 * (a + b * c)
>>> drawing = tape.graph(j, names={"a": a, "b": b, "c": c, "J": j})
>>> drawing["J"].value.item(), drawing["b"].grad.item()
(33.0, 6.0)
>>> print(drawing.to_mermaid())  # doctest: +ELLIPSIS
flowchart LR
    n0(["a<br/>= 5<br/>∂ 3"])
...
"""

from __future__ import annotations

from .build import Edge, Graph, Node, from_tensor
from .record import Tape, record

__all__ = ["Edge", "Graph", "Node", "Tape", "from_tensor", "record"]
