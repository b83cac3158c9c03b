"""Models: parameter counts, names, shapes, files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
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
        ("mlp1024", 2_913_290),
        ("mlp512_tanh", 669_706),
        ("mnist_cnn", 1_672_570),
        ("vgg_small", 9 * (32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * (64 + 128) + 3136 * 10 + 10),
    ],
)
def test_parameters_on_mnist(name: str, parameters: int) -> None:
    assert count(models.build(name)) == parameters
    assert count(getattr(models, name)()) == parameters


@pytest.mark.parametrize("name", models.NAMES)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 16), (1, 8, 8), (4,)])
def test_forward_shapes(name: str, shape: tuple[int, ...]) -> None:
    too_small = name in ("lenet5", "mnist_cnn") and shape == (1, 8, 8)
    if too_small or (len(shape) == 1 and not name.startswith("mlp")):
        with pytest.raises(ValueError, match=name):
            models.build(name, shape, 7)
        return
    # 11 million weights in convolutions would take NumPy seconds.
    backend = "cpu" if name == "resnet18" else "reference"
    with neurona.use_backend(backend), neurona.no_grad():
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


@pytest.mark.parametrize(("alias", "name"), [("mnist64", "mlp64"), ("mnist1024", "mlp1024")])
def test_aliases_and_configs(alias: str, name: str) -> None:
    assert count(models.build(alias)) == count(models.build(name))
    assert models.defaults(alias) == models.defaults(name)
    config = getattr(models, alias)
    assert count(config.build()) == count(models.build(name))
    assert (config.batch_size, config.lr, config.momentum, config.lr_decay) == (
        100,
        0.01,
        0.9,
        1e-6,
    )
    assert models.MLPConfig(**json.loads(json.dumps(config.get_config()))).build().layers[
        1
    ].out_features == int(alias.removeprefix("mnist"))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: models.lenet5(modern=1), TypeError, "lenet5: modern must be a bool or None"),
        (lambda: models.lenet5(head="svm"), ValueError, "head must be one of linear, rbf, got"),
        (lambda: models.lenet5(image_size=15, modern=False), ValueError, "must be >= 16, got 15"),
        (lambda: models.mnist_cnn(image_size=15), ValueError, "image_size must be >= 16, got 15"),
        (lambda: models.mnist_cnn(image_size=8, pool=False), ValueError, ">= 9, got 8"),
        (lambda: models.mnist_cnn(hidden=0), ValueError, "hidden must be >= 1, got 0"),
        (lambda: models.MLPConfig((3,), activation="sin").build(), ValueError, "activation must"),
        (lambda: models.resmlp(64, depth=5), ValueError, "depth must be even, got 5"),
        (lambda: models.resmlp(64, depth=2), ValueError, "depth must be >= 4, got 2"),
        (
            lambda: models.resmlp(64, residual=False, branch_gain=0.1),
            ValueError,
            "branch_gain must be 1 without shortcuts, got 0.1",
        ),
        (lambda: models.rescnn(depth=10), ValueError, "depth must be 6 n \\+ 2, got 10"),
        (lambda: models.rescnn(image_size=3), ValueError, "image_size must be >= 4, got 3"),
        (lambda: models.resnet18(stem="tiny"), ValueError, "stem must be one of imagenet, small"),
        (lambda: models.vgg11(hidden=0), ValueError, "vgg11: hidden must be >= 1, got 0"),
        (lambda: models.segnet_mini(upsample="x"), ValueError, "upsample must be one of transp"),
        (lambda: models.segnet_mini(width=0), ValueError, "width must be >= 1, got 0"),
        (
            lambda: models.segnet_mini()(neurona.zeros(1, 1, 6, 8)),
            ValueError,
            "H and W multiples of 4, got \\(1, 1, 6, 8\\)",
        ),
    ],
)
def test_bad_arguments(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("name", ["mlp64", "mnist64", "mlp512_tanh", "mnist_cnn", "rescnn"])
def test_load_builds_the_model_that_was_saved(name: str, tmp_path: Path) -> None:
    model = models.build(name, (1, 16, 16), 10)
    arch = describe(name, (1, 16, 16), 10)
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
