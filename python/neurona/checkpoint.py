"""Checkpoints: one safetensors file with the weights and all that training needs to go on.

The weights stand under their own names, so that any reader of safetensors can use the file as a
model. The state of training (optimizer, schedule, random numbers, history) stands beside them under
names that begin with `@`, which no attribute of a module can.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from . import state_tree
from .errors import FormatError
from .files import StrPath
from .safetensors import load_bytes_with_metadata, load_with_metadata, save, save_file

FORMAT = "1"
_STATE = "@state"


class Checkpoint(NamedTuple):
    """What a file holds: the weights by name, the training state (None in a plain weights file) and
    the metadata."""

    weights: dict[str, np.ndarray]
    state: dict[str, Any] | None
    metadata: dict[str, str]

    def json(self, key: str) -> dict[str, Any] | None:
        """The dictionary stored as JSON under a metadata key such as `arch`; None if absent."""
        if key not in self.metadata:
            return None
        try:
            value = json.loads(self.metadata[key])
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise FormatError(f"metadata {key!r} must be a JSON object, got {self.metadata[key]!r}")
        return value


def save_checkpoint(
    path: StrPath,
    weights: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes weights (a `state_dict`), training state and metadata to one file, atomically.

    Metadata values that are not strings are stored as JSON. Raises `ValueError` if a weight's name
    begins with `@`, `OSError` if the file cannot be written; the old file is then unchanged.

    >>> import tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "last.safetensors")
    ...     save_checkpoint(path, {"w": np.ones(2)}, {"epoch": 3}, {"arch": {"name": "mlp64"}})
    ...     loaded = load_checkpoint(path)
    >>> loaded.state, loaded.json("arch")
    ({'epoch': 3}, {'name': 'mlp64'})
    """
    tensors, texts = _pack(weights, state, metadata)
    save_file(tensors, path, texts)


def dump_checkpoint(
    weights: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of the file that `save_checkpoint` would write; the same errors.

    >>> parse_checkpoint(dump_checkpoint({"w": np.ones(2)}, {"epoch": 3})).state
    {'epoch': 3}
    """
    return save(*_pack(weights, state, metadata))


def _pack(
    weights: Mapping[str, Any],
    state: Mapping[str, Any] | None,
    metadata: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors and the metadata of the file."""
    from . import __version__

    for name in weights:
        if name.startswith("@"):
            raise ValueError(f"save_checkpoint: weight names must not begin with '@', got {name!r}")
    # "pt" is the one value of `format` that every other reader accepts.
    texts = {"format": "pt", "neurona_format": FORMAT, "neurona_version": __version__}
    for key, value in (metadata or {}).items():
        texts[key] = value if isinstance(value, str) else json.dumps(value)
    tensors = dict(weights)
    if state is not None:
        texts["neurona_state"], arrays = state_tree.encode(state, _STATE)
        tensors.update(arrays)
    return tensors, texts


def load_checkpoint(path: StrPath) -> Checkpoint:
    """Reads a checkpoint, or any safetensors file as one without training state.

    Raises `FormatError` for a broken file or one of a later format, `OSError` if it cannot be read.
    """
    return _unpack(path, *load_with_metadata(path))


def parse_checkpoint(data: bytes) -> Checkpoint:
    """What `dump_checkpoint` gave as bytes; `FormatError` if they are broken."""
    return _unpack("bytes", *load_bytes_with_metadata(data))


def _unpack(path: StrPath, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> Checkpoint:
    version = metadata.get("neurona_format", FORMAT)
    if version != FORMAT:
        raise FormatError(f"{path}: neurona_format {version!r} is not known, expected {FORMAT!r}")
    weights = {name: array for name, array in tensors.items() if not name.startswith("@")}
    state = None
    if "neurona_state" in metadata:
        try:
            state = state_tree.decode(metadata["neurona_state"], tensors)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FormatError(f"{path}: metadata 'neurona_state': {error}") from None
        if not isinstance(state, dict):
            raise FormatError(f"{path}: metadata 'neurona_state' must be a JSON object")
    return Checkpoint(weights, state, metadata)
