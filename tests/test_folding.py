"""`fold_batch_norm`: the same function with fewer layers, and only where that is safe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn
from neurona.folding import folded
from neurona.models.resnet import ResNet
from neurona.nn import functional as F

ONES = neurona.ones(2, 3, 4, 4)


def trained(model: nn.Module, *shape: int) -> nn.Module:
    """Statistics and affine parameters that are not those of a new layer."""
    random = np.random.default_rng(0)
    model.train()
    for _ in range(3):
        model(neurona.tensor(random.standard_normal(shape).astype(np.float32) * 2 + 1))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.weight is not None:
            module.weight.data[...] = random.uniform(0.5, 2, module.weight.shape)
            module.bias.data[...] = random.standard_normal(module.bias.shape)
    return model


def assert_same_function(model: nn.Module, *shape: int) -> nn.Module:
    x = neurona.tensor(np.random.default_rng(1).standard_normal(shape).astype(np.float32))
    short = neurona.fold_batch_norm(model, x)
    with neurona.no_grad():
        expected = model.eval()(x).numpy()
        got = short(x).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    return short


def norms(model: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in model.modules())


@pytest.mark.parametrize("bias", [False, True])
def test_sequential_of_images_and_rows(bias: bool) -> None:
    model = nn.Sequential(
        *[nn.Conv2d(3, 8, 3, bias=bias), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()],
        *[nn.Linear(8 * 16, 12, bias=bias), nn.BatchNorm1d(12, affine=False), nn.Tanh()],
    )
    before = [value.numpy().copy() for value in trained(model, 4, 3, 6, 6).state_dict().values()]
    short = assert_same_function(model, 4, 3, 6, 6)
    assert norms(short) == 0 and len(short) == 7 and not short.training
    for value, old in zip(model.state_dict().values(), before, strict=True):
        np.testing.assert_array_equal(value.numpy(), old)


def test_residual_networks() -> None:
    model = trained(ResNet((1, 1, 1, 1), 10, stem="small"), 2, 3, 16, 16)
    short = assert_same_function(model, 2, 3, 16, 16)
    assert norms(model) > 0 and norms(short) == 0


class Shared(nn.Module):
    """What a norm reads is read again, or changed, or a layer or its weight is used twice."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.form = form

    def forward(self, x: Any) -> Any:
        y = self.conv(x)
        if self.form == "read again":
            return self.norm(y) + y
        if self.form == "returned":
            return {"norm": self.norm(y), "others": [y, None]}
        if self.form == "conv twice":
            return self.norm(self.conv(y))
        if self.form == "norm twice":
            return self.norm(self.norm(y))
        if self.form == "in place":
            y += 1
            return self.norm(y)
        if self.form == "weight":
            return self.norm(y) + self.conv.weight.sum()
        return self.norm(y * 2)


FORMS = ["read again", "returned", "conv twice", "norm twice", "in place", "weight", "changed"]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_shared_is_left_alone(form: str) -> None:
    model = trained(Shared(form), 2, 3, 4, 4)
    assert norms(neurona.fold_batch_norm(model, neurona.ones(2, 3, 4, 4))) == 1


def test_hooks_and_rows_of_rows_are_left_alone() -> None:
    hooked = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    hooked[0].register_forward_hook(lambda module, args, output: output * 2)
    assert norms(assert_same_function(trained(hooked, 8, 4), 8, 4)) == 1
    by_row = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    assert norms(assert_same_function(trained(by_row, 8, 4, 4), 8, 4, 4)) == 1


def test_a_layer_with_two_names_is_replaced_under_both() -> None:
    class Two(Shared):
        def forward(self, x: Any) -> Any:
            return self.norm(self.first(x))

    two = Two("plain")
    two.first = two.conv
    assert norms(assert_same_function(trained(two, 2, 3, 4, 4), 2, 3, 4, 4)) == 0


class Detached(Shared):
    """Reads what lies between without an edge of the graph."""

    def forward(self, x: Any) -> Any:
        y = self.conv(x)
        return self.norm(y) * F.sigmoid(y.detach())


def test_a_reader_outside_the_graph_is_an_error() -> None:
    model = trained(Detached("detached"), 2, 3, 4, 4)
    with pytest.raises(RuntimeError, match="must return what the model does, but differs by"):
        neurona.fold_batch_norm(model, ONES)


def test_a_relu_behind_the_norm_becomes_part_of_the_convolution() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    short = neurona.fold_batch_norm(model, ONES)
    assert all(module._hooks is None for module in short.modules())
    with neurona.verify() as report, neurona.no_grad():
        short(ONES)
    assert report.calls == 2


def test_what_cannot_be_folded_is_left_alone() -> None:
    model = nn.Sequential(
        *[nn.ReLU(), nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4)],
        *[nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)],
    )
    assert norms(assert_same_function(trained(model, 2, 3, 5, 5), 2, 3, 5, 5)) == 3


def test_frozen_parameters_and_no_grad() -> None:
    model = trained(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), 8, 4)
    for parameter in model.parameters():
        parameter.requires_grad = False
    with neurona.no_grad():
        short = assert_same_function(model, 8, 4)
    assert norms(short) == 0
    assert not any(parameter.requires_grad for parameter in short.parameters())


def test_wrong_arguments() -> None:
    conv, x = nn.Conv2d(3, 8, 3), neurona.zeros(1, 3, 8, 8)
    with pytest.raises(TypeError, match="fold_batch_norm: model must be a Module, got int"):
        neurona.fold_batch_norm(3, x)
    with pytest.raises(TypeError, match="fold_batch_norm: example must be a Tensor, got int"):
        neurona.fold_batch_norm(conv, 3)
    with pytest.raises(TypeError, match="folded: layer and norm must be Conv2d and BatchNorm2d"):
        folded(conv, nn.BatchNorm1d(8))
    with pytest.raises(ValueError, match="as many features as layer has outputs, 8, got 7"):
        folded(conv, nn.BatchNorm2d(7))
    with pytest.raises(ValueError, match="must have running statistics"):
        folded(conv, nn.BatchNorm2d(8, track_running_stats=False))
