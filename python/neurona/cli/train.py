"""`neurona train`: fits a model and leaves a folder with weights, history and configuration."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.registry import NAMES
from . import errors, options
from .config import (
    checkpoint_to_resume,
    folder_of,
    fresh_config,
    resumed_config,
)
from .errors import CommandError

if TYPE_CHECKING:
    from ..datasets import ArrayDataset
    from ..trainer import Trainer

_EXAMPLES = """examples:
  neurona train digits --epochs 5
  neurona train mnist --model lenet5 --epochs 10 --out run
  neurona train --resume run

The folder gets best.safetensors (of the lowest validation loss with --validation, else of the
lowest training loss), last.safetensors (to resume from), history.csv and config.json. Ctrl-C
finishes the batch and saves; a resumed run ends with the same bits as one that was never stopped.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command; those that decide the result are None unless given."""
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add(
        "dataset",
        nargs="?",
        type=options.dataset_name,
        metavar="DATASET",
        help="digits, iris, mnist or fashion_mnist",
    )
    add("--model", type=options.model_name, help=f"{', '.join(NAMES[:-1])} or {NAMES[-1]}")
    add("--epochs", type=options.whole(0), metavar="N", help="passes over the training set")
    add("--batch-size", type=options.whole(1), metavar="N", help="samples per step")
    add("--optimizer", choices=("sgd", "adam", "adamw"), help="default: sgd")
    add("--lr", type=options.number, metavar="X", help="learning rate")
    add("--momentum", type=options.fraction, metavar="X", help="momentum of sgd")
    add("--weight-decay", type=options.number, metavar="X", help="weight decay")
    add("--schedule", choices=("constant", "cosine"), help="learning rate over the epochs")
    add("--seed", type=options.whole(0), metavar="N", help="default: 0")
    add(
        "--validation",
        type=options.fraction,
        metavar="X",
        help="share of the training set to validate on (default: 0)",
    )
    add("--limit", type=options.whole(1), metavar="N", help="use the first N samples only")
    add("--out", metavar="DIR", help="folder to write (default: DATASET-MODEL)")
    add(
        "--resume",
        nargs="?",
        const=True,
        metavar="PATH",
        help="continue a run: its folder or last.safetensors",
    )
    add("--download", action="store_true", help="fetch the data set if it is not found")
    options.add_device(parser)
    options.add_common(parser)


def _build(config: dict[str, Any], data: ArrayDataset, device: str) -> Trainer:
    """The trainer that a configuration describes; raises `CommandError` if it cannot be built."""
    from .. import optim
    from ..models import build
    from ..models.arch import describe
    from ..trainer import Trainer

    try:
        model = build(config["model"], data.input_shape, len(data.classes)).to(device)
    except ValueError as error:
        raise CommandError(f"{error} (data set {data.name})", errors.USAGE) from None
    rate, decay = config["lr"], config["weight_decay"]
    optimizer: optim.Optimizer
    if config["optimizer"] == "sgd":
        optimizer = optim.SGD(
            model.parameters(), lr=rate, momentum=config["momentum"], weight_decay=decay
        )
    else:
        kind = optim.Adam if config["optimizer"] == "adam" else optim.AdamW
        optimizer = kind(model.parameters(), lr=rate, weight_decay=decay)
    schedule = None
    if config["schedule"] == "cosine" and config["epochs"] > 0:
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config["epochs"])
    metadata = {
        "arch": describe(config["model"], data.input_shape, len(data.classes)),
        "data": {"dataset": data.name, "classes": list(data.classes), "scale": data.scale},
        "config": config,
    }
    return Trainer(
        model, "cross_entropy", optimizer, ["accuracy"], scheduler=schedule, metadata=metadata
    )


def _limited(data: ArrayDataset, limit: int | None) -> ArrayDataset:
    if limit is not None:
        data.train = (data.train[0][:limit], data.train[1][:limit])
        data.test = (data.test[0][:limit], data.test[1][:limit])
    return data


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    import numpy as np

    from .. import __version__
    from ..files import atomic_write

    content = {"schema": 1, **config, "neurona": __version__, "numpy": np.__version__}
    with atomic_write(folder / "config.json") as file:
        file.write(json.dumps(content, indent=2).encode() + b"\n")


def run(args: argparse.Namespace) -> int:
    """Trains, evaluates the best weights on the test set and prints the result."""
    started = time.perf_counter()
    options.check_device(args)
    if args.resume:
        source = checkpoint_to_resume(args)
        options.note(args, f"neurona train: resuming {source}")
        config = resumed_config(args, source)
        folder = Path(args.out) if args.out else source.parent
    else:
        source = None
        config = fresh_config(args)
        folder = folder_of(args, config)
        options.note(args, "neurona train: " + " ".join(f"{k}={v}" for k, v in config.items()))

    import neurona

    from .. import datasets
    from ..callbacks import LambdaCallback, ModelCheckpoint, TerminateOnNaN

    options.apply_threads(args)
    neurona.manual_seed(config["seed"])
    data = _limited(datasets.load(config["dataset"], args.download), config["limit"])
    trainer = _build(config, data, args.device)
    if args.verbose:
        options.note(args, repr(trainer.model))
    folder.mkdir(parents=True, exist_ok=True)
    _write_config(folder, config)
    best, last = folder / "best.safetensors", folder / "last.safetensors"
    if source is None:
        # From here on `last` belongs to this run, whenever it may be killed.
        trainer.save_checkpoint(last)
        best.unlink(missing_ok=True)
    # Not the accuracy: on few validation samples it is soon 1, long before the model is good.
    monitor = "val_loss" if config["validation"] else "loss"
    trainer.signals = (signal.SIGINT, signal.SIGTERM)
    history = trainer.fit(
        *data.train,
        batch_size=config["batch_size"],
        epochs=config["epochs"],
        verbose=0 if args.quiet else "auto",
        validation_split=config["validation"],
        callbacks=[
            TerminateOnNaN(),
            ModelCheckpoint(best, monitor, save_best_only=True, save_weights_only=True),
            LambdaCallback(
                on_epoch_end=lambda epoch, logs: trainer.history.save_csv(folder / "history.csv")
            ),
        ],
        checkpoint=last,
        resume=source,
        on_interrupt="return",
    )
    if history.interrupted:
        assert history.signal is not None  # the signal that interrupted
        command = f"neurona train --resume {shlex.quote(str(last))}"
        print(
            f"neurona train: interrupted, state saved; continue with\n  {command}", file=sys.stderr
        )
        return 128 + history.signal
    if history.diverged:
        raise CommandError(
            f"loss became nan or infinite in epoch {len(history.epoch)}; {last} holds the state "
            "before it; try a smaller --lr",
            errors.DIVERGED,
        )
    if best.exists():
        trainer.load_weights(best)
    results = trainer.evaluate(*data.test, batch_size=1000, return_dict=True)
    seconds = time.perf_counter() - started
    if args.json:
        options.print_json(
            "train",
            config=config,
            test=results,
            history=history.history,
            files={"best": str(best), "last": str(last)},
            seconds=seconds,
        )
    else:
        print(f"test accuracy {results['accuracy']:.4f} loss {results['loss']:.4f} {best}")
    return errors.OK
