"""Graphs as text: numbers as the exercises print them, Graphviz's DOT, Mermaid."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .build import Graph

# More elements than this are drawn as a shape.
_SHOWN = 6


def number(array: np.ndarray) -> str:
    """A scalar or a few elements with 4 significant digits, more elements as their shape."""
    if array.size > _SHOWN:
        return str(array.shape)
    if array.ndim == 0 or array.size == 1:
        return f"{array.item():.4g}"
    rows = [number(np.asarray(part)) for part in array]
    return f"[{', '.join(rows)}]"


def share(array: np.ndarray | None) -> str:
    """What stands on an edge: the gradient that comes back, if it is small enough to read."""
    return "" if array is None or array.size > _SHOWN else f"∂ {number(array)}"


def suffix(path: str | os.PathLike[str]) -> str:
    """The ending of a file name, in lower case."""
    return Path(path).suffix.lower()


def _quoted(lines: list[str], end: str) -> str:
    safe = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return end.join(safe)


def to_dot(graph: Graph) -> str:
    """One line per node and per edge; data are ellipses, operations boxes."""
    lines = ["digraph {", "    rankdir=LR;", '    node [fontname="sans-serif"];']
    for node in graph.nodes:
        shape = "ellipse" if node.kind == "data" else "box"
        label = _quoted(node.lines, "\\n")
        lines.append(f'    {node.key} [shape={shape}, label="{label}"];')
    for edge in graph.edges:
        label = f' [label="{share(edge.grad)}"]' if share(edge.grad) else ""
        lines.append(f"    {edge.source.key} -> {edge.target.key}{label};")
    return "\n".join([*lines, "}"]) + "\n"


def _entities(text: str) -> str:
    """Mermaid reads quotes, angle brackets and bars as its own."""
    for character, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, entity)
    return text.replace("|", "#124;")


def to_mermaid(graph: Graph) -> str:
    """One line per node and per edge; data are rounded, operations boxes."""
    lines = ["flowchart LR"]
    for node in graph.nodes:
        label = "<br/>".join(map(_entities, node.lines))
        left, right = ("([", "])") if node.kind == "data" else ("[", "]")
        lines.append(f'    {node.key}{left}"{label}"{right}')
    for edge in graph.edges:
        label = f'|"{_entities(share(edge.grad))}"|' if share(edge.grad) else ""
        lines.append(f"    {edge.source.key} -->{label} {edge.target.key}")
    return "\n".join(lines) + "\n"
