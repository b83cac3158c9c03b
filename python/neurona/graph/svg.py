"""A layered layout, left to right, and its SVG.

Columns follow the longest way to the output, so that an input stands just before its first use; an
edge over several columns bends through places kept free for it; within a column the order is the
mean of the neighbours', improved in a few sweeps.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from .text import share

if TYPE_CHECKING:
    from .build import Edge, Graph, Node

_CHARACTER = 7.4  # the mean advance of a 13-pixel sans-serif letter
_LINE = 17
_PAD = 9
_GAP_X = 30
_GAP_Y = 22
_SWEEPS = 8


class _Place:
    """A node, or a bend of a long edge, in its column."""

    def __init__(self, column: int, node: Node | None) -> None:
        self.column, self.node = column, node
        self.before: list[_Place] = []
        self.after: list[_Place] = []
        lines = node.lines if node else []
        self.width = max((len(line) for line in lines), default=0) * _CHARACTER + 2 * _PAD
        self.height = len(lines) * _LINE + 2 * _PAD if node else _LINE
        self.x = self.y = 0.0


def _columns(graph: Graph) -> dict[int, int]:
    """Column by node: the longest distance to the output, counted from the left."""
    distance = {id(node): 0 for node in graph.nodes}
    for node in reversed(graph.nodes):  # results before inputs
        for edge in graph.edges:
            if edge.target is node:
                source = id(edge.source)
                distance[source] = max(distance[source], distance[id(node)] + 1)
    last = max(distance.values(), default=0)
    return {node: last - steps for node, steps in distance.items()}


def _place(graph: Graph) -> tuple[list[list[_Place]], list[tuple[Edge, list[_Place]]]]:
    """The columns of places, and each edge with the places that it passes."""
    column_of = _columns(graph)
    columns: list[list[_Place]] = [[] for _ in range(max(column_of.values(), default=0) + 1)]
    places = {}
    for node in graph.nodes:
        places[id(node)] = place = _Place(column_of[id(node)], node)
        columns[place.column].append(place)
    routes = []
    for edge in graph.edges:
        source, target = places[id(edge.source)], places[id(edge.target)]
        bends = [_Place(column, None) for column in range(source.column + 1, target.column)]
        for bend in bends:
            columns[bend.column].append(bend)
        route = [source, *bends, target]
        for one, other in zip(route, route[1:], strict=False):
            one.after.append(other)
            other.before.append(one)
        routes.append((edge, route))
    return columns, routes


def _stack(columns: list[list[_Place]]) -> None:
    """Heights within the columns: the order of the neighbours' means, without overlap."""
    for column in columns:
        _settle(column, [float(index) for index in range(len(column))])
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            wanted = []
            for place in column:
                near = (place.before if forward else place.after) or place.before + place.after
                middle = sum(other.y for other in near) / len(near) if near else place.y
                wanted.append(middle)
            _settle(column, wanted)


def _settle(column: list[_Place], wanted: list[float]) -> None:
    """Put the places near their wanted heights, in that order, and none over another."""
    pairs = sorted(zip(wanted, range(len(column)), column, strict=True), key=lambda p: p[:2])
    column[:] = [place for _, _, place in pairs]
    bottom = None
    for height, _, place in pairs:
        top = height - place.height / 2
        if bottom is not None:
            top = max(top, bottom + _GAP_Y)
        place.y = top + place.height / 2
        bottom = top + place.height
    # Pushed down as a whole, the column is moved back to where it wanted to be on average.
    shift = sum(height - place.y for height, _, place in pairs) / len(pairs)
    for place in column:
        place.y += shift


def _spread(columns: list[list[_Place]], routes: list[Any]) -> tuple[float, float]:
    """Left edges from the widths of boxes and labels; the size of the whole picture."""
    x = float(_PAD)
    for index, column in enumerate(columns):
        width = max(place.width for place in column if place.node)
        for place in column:
            place.x = x + width / 2
        labels = [len(share(edge.grad)) for edge, route in routes if route[-1].column == index + 1]
        x += width + _GAP_X + max(labels, default=0) * _CHARACTER
    top = min(place.y - place.height / 2 for column in columns for place in column)
    bottom = max(place.y + place.height / 2 for column in columns for place in column)
    for column in columns:
        for place in column:
            place.y += _PAD - top
    right = max(place.x + place.width / 2 for column in columns for place in column)
    return right + _PAD, bottom - top + 2 * _PAD


def _path(route: list[_Place]) -> str:
    """A curve out of the right side of a box, through the bends, into the left side of the next."""
    points = [(route[0].x + route[0].width / 2, route[0].y)]
    points += [(bend.x, bend.y) for bend in route[1:-1]]
    points.append((route[-1].x - route[-1].width / 2 - 6, route[-1].y))
    text = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        middle = (x0 + x1) / 2
        text += f" C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
    return text


def _box(place: _Place) -> list[str]:
    node = place.node
    if node is None:
        return []
    radius = place.height / 2 if node.kind == "data" else 5
    left, top = place.x - place.width / 2, place.y - place.height / 2
    fill = "#eef4fb" if node.kind == "data" else "#fdf6e3"
    lines = [
        f'<rect class="{node.kind}" x="{left:.1f}" y="{top:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" rx="{min(radius, 16):.1f}" fill="{fill}" stroke="#445"/>'
    ]
    for index, line in enumerate(node.lines):
        y = top + _PAD + _LINE * (index + 0.75)
        color = "#b03a2e" if line.startswith("∂") else "#1b2631"
        weight = ' font-weight="bold"' if index == 0 else ""
        lines.append(
            f'<text x="{place.x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{color}"{weight}>'
            f"{escape(line)}</text>"
        )
    return lines


def _arrow(route: list[_Place]) -> str:
    return f'<path d="{_path(route)}" fill="none" stroke="#445" marker-end="url(#arrow)"/>'


def _edge_label(edge: Edge, route: list[_Place]) -> list[str]:
    """The gradient over the middle of the last stretch, where edges into one box are apart the
    most; a white copy below keeps lines away from the letters.
    """
    label = escape(share(edge.grad))
    if not label:
        return []
    one, other = route[-2], route[-1]
    start = one.x + (one.width / 2 if one.node else 0)
    x = (start + other.x - other.width / 2) / 2
    y = (one.y + other.y) / 2 - 5
    return [
        f'<text {hidden} x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="12">{label}</text>'
        for hidden in (
            'aria-hidden="true" fill="white" stroke="white" stroke-width="4"',
            'class="gradient" fill="#b03a2e"',
        )
    ]


def to_svg(graph: Graph) -> str:
    """The picture; values are dark, gradients red."""
    columns, routes = _place(graph)
    _stack(columns)
    width, height = _spread(columns, routes)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="13">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#445"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
    ]
    lines += [_arrow(route) for _, route in routes]
    for edge, route in routes:
        lines += _edge_label(edge, route)
    for column in columns:
        for place in column:
            lines += _box(place)
    return "\n".join([*lines, "</svg>"]) + "\n"
