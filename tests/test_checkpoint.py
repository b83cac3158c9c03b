"""Checkpoints: the state tree, the file, and what a broken one says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from neurona import safetensors, state_tree
from neurona.checkpoint import (
    dump_checkpoint,
    load_checkpoint,
    parse_checkpoint,
    save_checkpoint,
)
from neurona.errors import FormatError

TREE = {
    "none": None,
    "flag": True,
    "integer": 2**70,
    "float": 0.1,
    "special": [math.inf, -math.inf],
    "betas": (0.9, (0.999,)),
    "state": {0: {"buffer": np.arange(3, dtype=np.float32)}, 1: {}},
    "strings": ["ü", "@tensor"],
    "@odd": {"@tensor": 1},
    "empty": [{}, [], ()],
}


def equal(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))  # type: ignore
    return type(a) is type(b) and a == b


def test_trees_come_back_exactly(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "f", {"w": np.ones(2)}, TREE)
    assert equal(load_checkpoint(tmp_path / "f").state, TREE)


def test_floats_come_back_with_their_bits() -> None:
    values = np.random.default_rng(0).integers(0, 2**63, 1000, np.uint64).view(np.float64)
    values = values[np.isfinite(values)].tolist()
    text, tensors = state_tree.encode({"v": values}, "@s")
    assert state_tree.decode(text, tensors)["v"] == values
    text, tensors = state_tree.encode([math.nan], "@s")
    assert math.isnan(state_tree.decode(text, tensors)[0])


def test_a_checkpoint_is_a_weights_file_too(tmp_path: Path) -> None:
    weights = {"fc.weight": np.ones((2, 3), np.float32), "fc.bias": np.zeros(2, np.float32)}
    save_checkpoint(tmp_path / "f", weights, TREE, {"arch": {"model": "m"}, "note": "text"})
    loaded = load_checkpoint(tmp_path / "f")
    assert list(loaded.weights) == ["fc.bias", "fc.weight"]
    assert loaded.json("arch") == {"model": "m"} and loaded.json("absent") is None
    assert loaded.metadata["format"] == "pt" and loaded.metadata["note"] == "text"
    names = set(safetensors.load_file(tmp_path / "f"))
    assert names == {"fc.weight", "fc.bias", "@state.state.0.buffer"}
    save_checkpoint(tmp_path / "g", weights)
    assert load_checkpoint(tmp_path / "g").state is None


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"@state\.a\.0 must be made of .* got object"):
        save_checkpoint(tmp_path / "f", {}, {"a": [object()]})
    with pytest.raises(ValueError, match="must not begin with '@'"):
        save_checkpoint(tmp_path / "f", {"@w": np.ones(1)})
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"neurona_state": "{"}, "neurona_state"),
        ({"neurona_state": "[]"}, "must be a JSON object"),
        ({"neurona_state": '{"a": {"@tensor": "missing"}}'}, "missing"),
        ({"neurona_state": '{"a": {"@items": 3}}'}, "neurona_state"),
        ({"neurona_state": '{"a": {"@float": "x"}}'}, "neurona_state"),
        ({"neurona_state": "[" * 100_000}, "neurona_state"),
        ({"neurona_format": "99"}, "neurona_format '99' is not known"),
    ],
)
def test_broken_state(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    safetensors.save_file({}, tmp_path / "f", metadata)
    with pytest.raises(FormatError, match=message) as caught:
        load_checkpoint(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)


def test_broken_description(tmp_path: Path) -> None:
    safetensors.save_file({}, tmp_path / "f", {"arch": json.dumps([1])})
    with pytest.raises(FormatError, match="'arch' must be a JSON object"):
        load_checkpoint(tmp_path / "f").json("arch")


def test_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    weights, state = {"w": np.ones(2)}, {"epoch": 3, "moment": np.zeros(2)}
    save_checkpoint(tmp_path / "c", weights, state, {"arch": {"name": "mlp"}})
    data = dump_checkpoint(weights, state, {"arch": {"name": "mlp"}})
    assert data == (tmp_path / "c").read_bytes()
    read, from_file = parse_checkpoint(data), load_checkpoint(tmp_path / "c")
    assert equal(read.weights, from_file.weights) and equal(read.state, from_file.state)
    with pytest.raises(FormatError, match="bytes: "):
        parse_checkpoint(data[:20])
