"""Turns nested state (dictionaries, lists, numbers, arrays) into JSON plus named arrays, and back.

Training state is a tree: an optimizer's groups, momentum buffers, a history. Its arrays go into the
tensors of a safetensors file, everything else into one JSON text, so that no object has to be
pickled and every float comes back with the same bits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def _encode(value: Any, path: str, tensors: dict[str, np.ndarray]) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"@float": repr(value)}
    if isinstance(value, np.generic):
        return _encode(value.item(), path, tensors)
    if isinstance(value, Mapping):
        plain = all(isinstance(key, str) and not key.startswith("@") for key in value)
        items = [(key, _encode(item, f"{path}.{key}", tensors)) for key, item in value.items()]
        return dict(items) if plain else {"@items": [[key, item] for key, item in items]}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, f"{path}.{index}", tensors) for index, item in enumerate(value)]
        return {"@tuple": items} if isinstance(value, tuple) else items
    array = value if isinstance(value, np.ndarray) else getattr(value, "data", None)
    if getattr(value, "device", "cpu") != "cpu":
        array = value.cpu().data
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"state: {path} must be made of numbers, strings, lists, dictionaries and "
            f"arrays, got {type(value).__name__}"
        )
    tensors[path] = array
    return {"@tensor": path}


def _decode(value: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "@float" in value:
        return float(value["@float"])
    if "@tuple" in value:
        return tuple(_decode(item, tensors) for item in value["@tuple"])
    if "@items" in value:
        return {key: _decode(item, tensors) for key, item in value["@items"]}
    if "@tensor" in value:
        return tensors[value["@tensor"]]
    return {key: _decode(item, tensors) for key, item in value.items()}


def encode(tree: Any, prefix: str) -> tuple[str, dict[str, np.ndarray]]:
    """Splits a tree into JSON text and its arrays, named `prefix.key.key...`.

    Raises `TypeError` for anything but numbers, strings, None, lists, tuples, mappings and arrays.

    >>> text, tensors = encode({"lr": 0.1, 0: {"buffer": np.zeros(2)}}, "@state")
    >>> list(tensors)
    ['@state.0.buffer']
    >>> decode(text, tensors)
    {'lr': 0.1, 0: {'buffer': array([0., 0.])}}
    """
    tensors: dict[str, np.ndarray] = {}
    return json.dumps(_encode(tree, prefix, tensors), allow_nan=False), tensors


def decode(text: str, tensors: Mapping[str, np.ndarray]) -> Any:
    """Joins what `encode` split; `ValueError` or `KeyError` if the two do not belong together."""
    return _decode(json.loads(text), tensors)
