"""Models: parameter counts, names, shapes, files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import neurona
from neurona import models
from neurona.checkpoint import save_checkpoint
from neurona.errors import FormatError
from neurona.models.arch import describe


def count(model: neurona.nn.Module) -> int:
    return sum(math.prod(parameter.shape) for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("lenet5", 61_706),
        ("mlp64", 59_210),
        ("mlp1024", 784 * 1024 + 2 * 1024 * 1024 + 3 * 1024 + 10250),
        ("vgg_small", 9 * (32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * (64 + 128) + 3136 * 10 + 10),
    ],
)
def test_parameters_on_mnist(name: str, parameters: int) -> None:
    assert count(models.build(name)) == parameters
    assert count(getattr(models, name)()) == parameters


@pytest.mark.parametrize("name", models.NAMES)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 16), (1, 8, 8), (4,)])
def test_forward_shapes(name: str, shape: tuple[int, ...]) -> None:
    too_small = name == "lenet5" and shape == (1, 8, 8)
    if too_small or (len(shape) == 1 and not name.startswith("mlp")):
        with pytest.raises(ValueError, match=name):
            models.build(name, shape, 7)
        return
    with neurona.use_backend("reference"), neurona.no_grad():
        assert models.build(name, shape, 7).eval()(neurona.zeros(2, *shape)).shape == (2, 7)


def test_state_dict_names() -> None:
    assert list(models.lenet5().state_dict()) == [
        f"{layer}.{kind}"
        for layer in ("conv1", "conv2", "fc1", "fc2", "fc3")
        for kind in ("weight", "bias")
    ]
    assert list(models.vgg_small().state_dict())[:2] == ["features.0.weight", "features.1.weight"]
    assert {"classifier.weight", "classifier.bias"} < set(models.vgg_small().state_dict())


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="got 'lenet'; did you mean 'lenet5'"):
        models.build("lenet")
    with pytest.raises(ValueError, match="image_size must be >= 12, got 11"):
        models.lenet5(image_size=11)
    with pytest.raises(TypeError, match="image_size must be an int, got float"):
        models.lenet5(image_size=28.0)  # type: ignore[arg-type]


def test_load_builds_the_model_that_was_saved(tmp_path: Path) -> None:
    model = models.build("mlp64", (1, 8, 8), 10)
    arch = describe("mlp64", (1, 8, 8), 10)
    save_checkpoint(tmp_path / "f", model.state_dict(), metadata={"arch": arch})
    loaded = models.load(tmp_path / "f")
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[name].data, tensor.data)


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (None, "'arch' is missing"),
        ({"model": "mlp64"}, "not a known description"),
        ({"model": "nope", "input_shape": [4], "num_classes": 3}, "name must be one of"),
        ({"model": "mlp64", "input_shape": [-4], "num_classes": 3}, "not a known description"),
        ({"model": "mlp64", "input_shape": [True], "num_classes": 3}, "not a known description"),
        ({"model": "mlp1024", "input_shape": [9999, 9999], "num_classes": 3}, "more than the"),
        ({"model": "vgg_small", "input_shape": [1, 9999, 9999], "num_classes": 3}, "more than the"),
        ({"model": "lenet5", "input_shape": [1, 28, 28], "num_classes": 10}, "more than the"),
        ({"model": "mlp64", "input_shape": [5], "num_classes": 3}, "load_state_dict"),
    ],
)
def test_files_that_lie_about_their_model(tmp_path: Path, arch: object, message: str) -> None:
    model = models.build("mlp64", (4,), 3)
    metadata = {} if arch is None else {"arch": json.dumps(arch)}
    save_checkpoint(tmp_path / "f", model.state_dict(), metadata=metadata)
    with pytest.raises(FormatError, match=message) as caught:
        models.load(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
