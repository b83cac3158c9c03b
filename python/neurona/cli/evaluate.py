"""`neurona eval`: loss and accuracy of a saved model, usable as a gate in a script."""

from __future__ import annotations

import argparse

from . import errors, options
from .errors import CommandError

_EXAMPLES = """examples:
  neurona eval run/best.safetensors
  neurona eval run/best.safetensors --min-accuracy 0.98 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("file", metavar="FILE", help="a file written by `neurona train`")
    add(
        "--data",
        type=options.dataset_name,
        metavar="DATASET",
        help="data set (default: the one it was trained on)",
    )
    add(
        "--min-accuracy",
        type=options.fraction,
        metavar="X",
        help="exit with 4 if the accuracy is below X",
    )
    add("--batch-size", type=options.whole(1), default=1000, metavar="N", help="default: 1000")
    add("--limit", type=options.whole(1), metavar="N", help="use the first N test samples only")
    add("--download", action="store_true", help="fetch the data set if it is not found")
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates on the test set and prints loss, accuracy and, as JSON, the confusion matrix."""
    options.note(args, f"neurona eval: {args.file}")
    from .. import datasets
    from ..checkpoint import load_checkpoint
    from ..metrics import ConfusionMatrix
    from ..models.arch import model_from_checkpoint
    from ..trainer import Trainer

    checkpoint = load_checkpoint(args.file)
    model, arch = model_from_checkpoint(args.file, checkpoint)
    options.apply_threads(args)
    name = args.data or (checkpoint.json("data") or {}).get("dataset")
    if not isinstance(name, str):
        raise CommandError(f"{args.file} does not name its data set; give --data", errors.USAGE)
    data = datasets.load(name, args.download)
    if list(data.input_shape) != arch["input_shape"] or len(data.classes) != arch["num_classes"]:
        raise CommandError(
            f"{name} has inputs {data.input_shape} and {len(data.classes)} classes, the model "
            f"takes {tuple(arch['input_shape'])} and {arch['num_classes']}",
            errors.USAGE,
        )
    x, y = (part[: args.limit] for part in data.test)
    matrix = ConfusionMatrix(len(data.classes))
    trainer = Trainer(model, "cross_entropy", "sgd", ["accuracy", matrix])
    results = trainer.evaluate(x, y, batch_size=args.batch_size, return_dict=True)
    accuracy = results["accuracy"]
    if args.json:
        options.print_json(
            "eval",
            file=args.file,
            dataset=name,
            samples=len(y),
            loss=results["loss"],
            accuracy=accuracy,
            classes=list(data.classes),
            confusion_matrix=matrix.matrix.tolist(),
        )
    else:
        print(f"accuracy {accuracy:.4f} loss {results['loss']:.4f} samples {len(y)}")
    if args.min_accuracy is not None and not accuracy >= args.min_accuracy:
        raise CommandError(
            f"accuracy {accuracy:.4f} is below --min-accuracy {args.min_accuracy}",
            errors.BELOW_THRESHOLD,
        )
    return errors.OK
