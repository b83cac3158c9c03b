"""`neurona predict`: the most probable classes of inputs."""

from __future__ import annotations

import argparse
import io
import math
import sys
from typing import TYPE_CHECKING, Any

from . import errors, options
from .errors import CommandError

if TYPE_CHECKING:
    import numpy as np

_EXAMPLES = """examples:
  neurona predict run/best.safetensors images.npy --topk 3
  python make_images.py | neurona predict run/best.safetensors - --json

Inputs: a .npy array (N, C, H, W), (N, H, W) with one channel, (N, F), or a single sample. Floats
are taken as they are; integers are divided by the data set's scale (255 for MNIST). Each output
line is: index, then class and probability, best first.
"""
_MAX_STDIN = 1 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("file", metavar="FILE", help="a file written by `neurona train`")
    add("inputs", metavar="INPUTS", help=".npy file, or - for standard input")
    add("--topk", type=options.whole(1), default=1, metavar="K", help="classes per input")
    add("--batch-size", type=options.whole(1), default=256, metavar="N", help="default: 256")
    options.add_common(parser)


def _parse_npy(name: str, content: bytes) -> np.ndarray:
    """The array in the bytes of a .npy file; pickled objects and headers that lie are refused."""
    import numpy as np

    from ..errors import FormatError

    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        reader = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = reader(file)
    except ValueError as error:
        raise FormatError(f"{name}: not a .npy file ({error})") from None
    if dtype.hasobject:
        raise FormatError(f"{name}: offset 0: pickle is never loaded; save numbers, not objects")
    if dtype.kind not in "fiu":
        raise FormatError(f"{name}: dtype must be float or integer, got {dtype}")
    start, expected = file.tell(), math.prod(shape) * dtype.itemsize
    if len(content) - start != expected:
        raise FormatError(
            f"{name}: offset {start}: shape {shape} of {dtype} needs {expected} bytes of data, "
            f"{len(content) - start} follow"
        )
    array = np.frombuffer(content, dtype, offset=start)
    return array.reshape(shape, order="F" if fortran else "C")


def _load_inputs(name: str) -> np.ndarray:
    from ..files import open_regular

    if name == "-":
        return _parse_npy("standard input", sys.stdin.buffer.read(_MAX_STDIN))
    with open_regular(name) as file:
        return _parse_npy(name, file.read())


def _as_batch(array: np.ndarray, sample: tuple[int, ...], scale: int) -> np.ndarray:
    """float32 (N, *sample) from the accepted forms."""
    import numpy as np

    values = array.astype(np.float32)
    if array.dtype.kind in "iu":
        values /= np.float32(scale)
    single_channel = len(sample) == 3 and sample[0] == 1
    if values.shape == sample or (single_channel and values.shape == sample[1:]):
        return values.reshape(1, *sample)
    if values.shape[1:] == sample or (single_channel and values.shape[1:] == sample[1:]):
        return values.reshape(len(values), *sample)
    raise CommandError(
        f"inputs must have shape (N, {', '.join(map(str, sample))}), got {array.shape}",
        errors.USAGE,
    )


def run(args: argparse.Namespace) -> int:
    """Reads inputs, applies the model and prints classes with probabilities."""
    options.note(args, f"neurona predict: {args.file}")
    import numpy as np

    from ..checkpoint import load_checkpoint
    from ..models.arch import model_from_checkpoint
    from ..trainer import Trainer

    checkpoint = load_checkpoint(args.file)
    model, arch = model_from_checkpoint(args.file, checkpoint)
    options.apply_threads(args)
    data = checkpoint.json("data") or {}
    classes = data.get("classes")
    if not isinstance(classes, list) or len(classes) != arch["num_classes"]:
        classes = [str(index) for index in range(arch["num_classes"])]
    scale = data.get("scale", 1)
    if not isinstance(scale, int) or scale < 1:
        scale = 1
    inputs = _as_batch(_load_inputs(args.inputs), tuple(arch["input_shape"]), scale)
    logits = Trainer(model, optimizer="sgd").predict(inputs, args.batch_size).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, : args.topk]
    predictions: list[dict[str, list[Any]]] = [
        {
            "classes": [str(classes[index]) for index in row],
            "probabilities": [float(own[index]) for index in row],
        }
        for own, row in zip(probabilities, best, strict=True)
    ]
    if args.json:
        options.print_json("predict", file=args.file, predictions=predictions)
        return errors.OK
    for index, prediction in enumerate(predictions):
        pairs = zip(prediction["classes"], prediction["probabilities"], strict=True)
        print(index, *(f"{name} {p:.4f}" for name, p in pairs), sep="\t")
    return errors.OK
