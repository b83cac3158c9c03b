"""The configuration of a training run: what the options say, or what a run that is resumed says."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..models.registry import Defaults, defaults
from .errors import BAD_FILE, USAGE, CommandError

# The options that decide the result. A resumed run takes them from its checkpoint.
KEYS = (
    "dataset",
    "model",
    "epochs",
    "batch_size",
    "optimizer",
    "lr",
    "momentum",
    "weight_decay",
    "schedule",
    "seed",
    "validation",
    "limit",
)

# The defaults of a model are meant for tens of thousands of samples; few samples need more passes
# in smaller batches, and a larger rate.
_SMALL_DATA: dict[str, dict[str, Any]] = {
    "digits": {"batch_size": 32, "epochs": 30, "lr": 0.05},
    "iris": {"batch_size": 16, "epochs": 60, "lr": 0.05},
}


def fresh_config(args: argparse.Namespace) -> dict[str, Any]:
    """The options given, completed by the defaults of the model."""
    if args.dataset is None:
        raise CommandError("DATASET must be given (or --resume PATH)", USAGE)
    model = args.model or ("digits_cnn" if args.dataset == "digits" else "mlp64")
    usual: Defaults = defaults(model)
    config: dict[str, Any] = {"dataset": args.dataset, "model": model}
    small = _SMALL_DATA.get(args.dataset, {})
    rate = small.get("lr", usual.lr)
    if args.optimizer not in (None, usual.optimizer):
        # A rate found for SGD is no rate for Adam, and the reverse.
        rate = 0.01 if args.optimizer == "sgd" else 0.001
    fallback: dict[str, Any] = {
        **usual._asdict(),
        **small,
        "lr": rate,
        "seed": 0,
        "validation": 0.0,
        "limit": None,
    }
    for key in KEYS[2:]:
        given = getattr(args, key)
        config[key] = fallback[key] if given is None else given
    return config


def resumed_config(args: argparse.Namespace, path: Path) -> dict[str, Any]:
    """The saved options; one given anew must not differ, but for `--epochs` at a constant rate."""
    from ..safetensors import read_metadata

    try:
        saved = json.loads(read_metadata(path).get("config", "{}"))
    except ValueError as error:
        raise CommandError(f"{path}: metadata 'config': {error}", BAD_FILE) from None
    if not isinstance(saved, dict) or not all(key in saved for key in KEYS):
        raise CommandError(
            f"{path}: was not written by `neurona train`, cannot be resumed", BAD_FILE
        )
    config = {key: saved[key] for key in KEYS}
    for key in KEYS:
        given = getattr(args, key)
        if given is None or given == config[key]:
            continue
        if key == "epochs" and config["schedule"] == "constant":
            config[key] = given
            continue
        option = "DATASET" if key == "dataset" else "--" + key.replace("_", "-")
        raise CommandError(
            f"{option} must be {config[key]} as in {path}, got {given}: a resumed run cannot "
            "change it",
            USAGE,
        )
    return config


def folder_of(args: argparse.Namespace, config: dict[str, Any]) -> Path:
    """Where a fresh run writes: `--out`, or `DATASET-MODEL` in the current folder."""
    return Path(args.out) if args.out else Path(f"{config['dataset']}-{config['model']}")


def checkpoint_to_resume(args: argparse.Namespace) -> Path:
    """The file meant by `--resume [PATH]`: a file, a run's folder, or the folder of `--out`."""
    if args.resume is not True:
        path = Path(args.resume)
        return path / "last.safetensors" if path.is_dir() else path
    if args.out:
        return Path(args.out) / "last.safetensors"
    return folder_of(args, fresh_config(args)) / "last.safetensors"
