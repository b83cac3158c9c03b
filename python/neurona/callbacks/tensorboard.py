"""Event files for TensorBoard, written by tensorboardX."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .base import Callback, Logs

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


class TensorBoard(Callback):
    """Writes every epoch's values to `log_dir` for TensorBoard, laid out as Keras lays them out.

    `log_dir`/train gets `epoch_loss` and the other training values, `log_dir`/validation the same
    names for what the logs call `val_...`, so that TensorBoard draws both in one chart. Every
    `histogram_freq` epochs (0: never) the parameters are added as histograms. The files are flushed
    after each epoch. Raises ImportError when tensorboardX is missing
    (`pip install neurona[tensorboard]`) and ValueError for a negative `histogram_freq`.

    >>> callback = TensorBoard("logs", histogram_freq=5)
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "logs", histogram_freq: int = 0) -> None:
        if histogram_freq < 0:
            raise ValueError(f"TensorBoard: histogram_freq must be >= 0, got {histogram_freq}")
        self.log_dir, self.histogram_freq = os.fspath(log_dir), histogram_freq
        self._writers: dict[str, SummaryWriter] = {}

    def _writer(self, part: str) -> SummaryWriter:
        if part not in self._writers:
            from tensorboardX import SummaryWriter

            self._writers[part] = SummaryWriter(os.path.join(self.log_dir, part))
        return self._writers[part]

    def on_train_begin(self, logs: Logs) -> None:
        try:
            self._writer("train")  # a missing package or folder shows before the first epoch
        except ImportError as error:
            raise ImportError(
                "TensorBoard: needs tensorboardX: pip install neurona[tensorboard]"
            ) from error

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            tag = f"epoch_{name.removeprefix('val_')}"
            self._writer(part).add_scalar(tag, value, epoch)
        if self.histogram_freq and (epoch + 1) % self.histogram_freq == 0:
            for name, parameter in self.model.named_parameters():
                self._writer("train").add_histogram(name, parameter.data, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
