"""Residual networks and VGG-11: torchvision's names and shapes, the block's arithmetic, the depth
study.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import neurona
from neurona import models, nn
from neurona.models.residual_mlp import ResidualPair
from neurona.models.resnet import BasicBlock, ResNet
from neurona.nn import functional as F

# Names and shapes of the state of torchvision 0.29's models.
KEYS: dict[str, dict[str, list[int]]] = json.loads(
    (Path(__file__).parent / "torchvision_keys.json").read_text()
)


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("resnet18", {}, 11_689_512),
        ("vgg11", {}, 132_863_336),
        ("vgg11_bn", {"batch_norm": True}, 132_868_840),
    ],
)
def test_names_and_shapes_are_torchvisions(
    name: str, options: dict[str, bool], parameters: int
) -> None:
    model = getattr(models, name.removesuffix("_bn"))(**options)
    state = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    assert list(state.items()) == list(KEYS[name].items())
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_a_file_of_weights_loads(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = models.resnet18()
    neurona.safetensors.save_file(model.state_dict(), path, {"format": "pt"})
    other = models.resnet18()
    assert other.load_state_dict(neurona.safetensors.load_file(path)) == ([], [])
    assert np.array_equal(other.layer2[0].downsample[0].weight.data, _downsample(model))
    with pytest.raises(ValueError, match="resnet.encoder"):
        other.load_state_dict({"resnet.encoder.stages.0.weight": np.zeros(1, np.float32)})


def _downsample(model: nn.Module) -> np.ndarray:
    weight = model.get_parameter("layer2.0.downsample.0.weight")
    return weight.data


def test_stems() -> None:
    """The large stem divides the size by 4, the small one keeps it."""
    for stem, size in (("imagenet", 8), ("small", 32)):
        report = neurona.summary(ResNet((1, 1, 1, 1), 10, stem=stem).eval(), (1, 3, 32, 32))
        rows = {row["layer"]: row for row in report.layers}
        assert rows["layer1.0.conv1"]["output"] == (1, 64, size, size)
        assert rows["layer4.0.conv2"]["output"] == (1, 512, size // 8, size // 8)
    with pytest.raises(ValueError, match="layers must be four counts, got"):
        ResNet((1, 1))


@pytest.fixture
def reference() -> Iterator[None]:
    """float64 on NumPy, without the note that the compiled kernels do not take it."""
    with neurona.use_backend("reference"):
        yield


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(("channels", "stride"), [(4, 1), (6, 2)])
def test_basic_block_against_its_formula(residual: bool, channels: int, stride: int) -> None:
    """In float64, layer by layer, with random statistics; and the gradient of both paths."""
    rng = np.random.default_rng(3)
    block = BasicBlock(4, channels, stride, residual=residual).double().eval()
    for tensor in block.state_dict().values():
        if tensor.data.dtype.kind == "f":
            tensor.data[...] = rng.uniform(0.5, 1.5, tensor.shape)
    x = neurona.Tensor(rng.standard_normal((2, 4, 6, 6)), requires_grad=True)

    def normalised(values: neurona.Tensor, bn: nn.BatchNorm2d) -> neurona.Tensor:
        mean, var, gamma, beta = (
            neurona.Tensor(t.data.reshape(-1, 1, 1))
            for t in (bn.running_mean, bn.running_var, bn.weight, bn.bias)
        )
        return (values - mean) / (var + bn.eps).sqrt() * gamma + beta

    inner = F.conv2d(x, block.conv1.weight, stride=stride, padding=1)
    inner = F.conv2d(normalised(inner, block.bn1).relu(), block.conv2.weight, padding=1)
    y = normalised(inner, block.bn2)
    if residual and stride == 1:
        assert block.downsample is None
        y = y + x
    elif residual:
        y = y + normalised(
            F.conv2d(x, block.downsample[0].weight, stride=stride), block.downsample[1]
        )
    else:
        assert block.downsample is None
    np.testing.assert_allclose(block(x).data, y.relu().data, rtol=1e-12, atol=1e-12)
    assert neurona.autograd.gradcheck(block, (x,))


def test_a_zero_branch_is_the_identity_for_what_a_relu_gives() -> None:
    """W = b = 0: h >= 0 comes out exactly, a negative h is cut, since the ReLU follows the sum."""
    h = neurona.tensor([[0.0, 1.5, -2.0, 7.0]])
    block = ResidualPair(4, branch_gain=0.0)
    assert block(h).tolist() == [[0.0, 1.5, 0.0, 7.0]]
    assert ResidualPair(4, residual=False, branch_gain=0.0)(h).tolist() == [[0.0] * 4]


def test_counts_of_the_depth_study() -> None:
    """Depth counts layers with weights; the residual network has those of its plain twin."""
    for depth in (10, 30):
        reports = [
            neurona.summary(models.resmlp(64, depth=depth, residual=residual), (1, 1, 8, 8))
            for residual in (True, False)
        ]
        assert [report.totals["depth"] for report in reports] == [depth, depth]
        params = 64 * 32 + 32 + (depth - 2) * (32 * 32 + 32) + 330
        assert [report.totals["params"] for report in reports] == [params, params]
    plain, residual = (models.rescnn(depth=20, residual=flag) for flag in (False, True))
    extra = sum(p.numel() for p in residual.parameters()) - sum(
        p.numel() for p in plain.parameters()
    )
    assert extra == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert neurona.summary(plain, (1, 1, 8, 8)).totals["depth"] == 20


def train_digits(model: nn.Module, epochs: int) -> float:
    """The accuracy on the last 360 digits after SGD."""
    data = neurona.datasets.digits()
    trainer = neurona.Trainer(
        model,
        loss="cross_entropy",
        optimizer=neurona.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        metrics=["accuracy"],
    )
    trainer.fit(*data.train, batch_size=100, epochs=epochs, verbose=0)
    return trainer.evaluate(*data.test, return_dict=True, verbose=0)["accuracy"]


def test_depth_hurts_a_plain_network_and_not_a_residual_one() -> None:
    """30 layers of 32 units on the digits."""
    neurona.manual_seed(0)
    plain = train_digits(models.resmlp(64, depth=30, residual=False), 15)
    residual = train_digits(models.resmlp(64, depth=30, branch_gain=0.1), 15)
    assert residual > 0.85 and plain < residual - 0.2


def test_rescnn_learns() -> None:
    neurona.manual_seed(0)
    assert train_digits(models.rescnn(depth=8, width=8), 8) > 0.9
