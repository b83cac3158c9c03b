"""The TensorBoard callback: what TensorBoard would read from its files."""

from __future__ import annotations

import builtins
import struct
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event

from neurona.callbacks import TensorBoard
from test_callbacks import fit, make_trainer


def events(folder: Path) -> list[Event]:
    """A file holds records: length (8 bytes), its checksum (4), an Event, its checksum (4)."""
    (path,) = folder.glob("events.out.tfevents.*")
    blob, at, found = path.read_bytes(), 0, []
    while at < len(blob):
        (length,) = struct.unpack_from("<Q", blob, at)
        found.append(Event.FromString(blob[at + 12 : at + 12 + length]))
        at += 16 + length
    return found


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    return {
        (value.tag, event.step): value.simple_value
        for event in events(folder)
        for value in event.summary.value
        if value.WhichOneof("value") == "simple_value"
    }


def test_training_and_validation_share_their_tags(tmp_path: Path) -> None:
    history = fit(make_trainer(), TensorBoard(tmp_path), epochs=2, validation_split=0.2)
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    for epoch in range(2):
        for name in ("loss", "accuracy"):
            assert train[f"epoch_{name}", epoch] == pytest.approx(history.history[name][epoch])
            expected = history.history[f"val_{name}"][epoch]
            assert validation[f"epoch_{name}", epoch] == pytest.approx(expected)


def test_histograms_of_the_parameters_every_second_epoch(tmp_path: Path) -> None:
    fit(make_trainer(), TensorBoard(tmp_path, histogram_freq=2), epochs=5)
    seen = [
        (value.tag, event.step, value.histo.num)
        for event in events(tmp_path / "train")
        for value in event.summary.value
        if value.WhichOneof("value") == "histo"
    ]
    assert seen == [("weight", 1, 8), ("bias", 1, 2), ("weight", 3, 8), ("bias", 3, 2)]


def test_a_missing_package_is_named_before_the_first_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "tensorboardX":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install neurona\[tensorboard\]"):
        fit(make_trainer(), TensorBoard(tmp_path))


def test_a_negative_frequency() -> None:
    with pytest.raises(ValueError, match="histogram_freq must be >= 0, got -1"):
        TensorBoard(histogram_freq=-1)
