"""The part of `Trainer` that saves, loads and resumes."""

from __future__ import annotations

from typing import Any

from . import random
from .checkpoint import load_checkpoint, save_checkpoint
from .errors import FormatError
from .files import StrPath
from .trainer_base import TrainerBase


class TrainerFiles(TrainerBase):
    """Weights files and checkpoints of a trainer; see `Trainer`."""

    def save_weights(self, path: StrPath) -> None:
        """Writes the model's weights and `metadata` to a safetensors file, atomically."""
        save_checkpoint(path, self.model.state_dict(), metadata=self.metadata)

    def load_weights(self, path: StrPath) -> None:
        """Takes the weights of a safetensors file; may raise `FormatError`, `OSError`."""
        self.model.load_state_dict(load_checkpoint(path).weights)

    def save_checkpoint(self, path: StrPath) -> None:
        """Writes all that a later `fit(resume=path)` needs to continue with the same bits."""
        progress = dict(self._progress)
        progress["meters"] = [meter.state_dict() for meter in self._meters()]
        state = {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "rng": self._get_rng(),
            "progress": progress,
            "history": self.history.state_dict(),
            "callbacks": [] if self._callbacks is None else self._callbacks.state_dict(),
        }
        save_checkpoint(path, self.model.state_dict(), state, self.metadata)

    def load_checkpoint(self, path: StrPath) -> None:
        """Takes everything back from `save_checkpoint`; the file must hold training state.

        Raises `FormatError` if it does not, or belongs to another model or optimizer.
        """
        self._restore(path, self._read_state(path))

    def _read_state(self, path: StrPath) -> dict[str, Any]:
        """The training state of a file with its weights as `model`, as far as it can be checked."""
        weights, state, _ = load_checkpoint(path)
        if state is None:
            raise FormatError(f"{path}: holds weights only, no training state to resume from")
        progress = state.get("progress")
        if not isinstance(progress, dict) or not {"epoch", "batch", "seed"} <= progress.keys():
            raise FormatError(f"{path}: training state has no progress to resume from")
        return {**state, "model": weights}

    def _restore(self, path: StrPath, state: dict[str, Any]) -> None:
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scheduler is not None and state["scheduler"] is not None:
                self.scheduler.load_state_dict(state["scheduler"])
            self.history.load_state_dict(state["history"])
            self._progress = dict(state["progress"])
            if self._callbacks is not None:
                self._callbacks.load_state_dict(state["callbacks"])
            self._set_rng(state["rng"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"{path}: does not fit this training run: {error}") from error

    def _get_rng(self) -> dict[str, Any]:
        """The state of the default generator, and of the loader's own if it has one."""
        own = getattr(self._loader, "generator", None)
        return {
            "default": random.get_rng_state(),
            "loader": None if own is None else own.get_state(),
        }

    def _set_rng(self, state: dict[str, Any]) -> None:
        random.set_rng_state(state["default"])
        own = getattr(self._loader, "generator", None)
        if own is not None and state["loader"] is not None:
            own.set_state(state["loader"])
