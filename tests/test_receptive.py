"""receptive_field: by hand, and against the footprint of a gradient."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn


def footprint(net: nn.Module, channels: int, size: int) -> tuple[int, int]:
    """Rows and columns of the input that one unit in the middle depends on."""
    for parameter in net.parameters():
        parameter.data[...] = 1.0
    x = neurona.tensor(
        np.random.default_rng(0).uniform(1, 2, (1, channels, size, size)).astype(np.float32),
        requires_grad=True,
    )
    y = net(x)
    dy = np.zeros(y.shape, np.float32)
    dy[0, 0, y.shape[2] // 2, y.shape[3] // 2] = 1
    y.backward(neurona.Tensor(dy))
    assert x.grad is not None
    touched = x.grad.data[0].any(0)
    rows, columns = np.flatnonzero(touched.any(1)), np.flatnonzero(touched.any(0))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


NETS: dict[str, tuple[nn.Module, int]] = {
    "two 3x3": (nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv2d(1, 1, 3)), 1),
    "oblong, strided, spread": (
        nn.Sequential(nn.Conv2d(1, 2, (3, 5), (2, 1), (1, 2)), nn.Conv2d(2, 1, 3, dilation=(1, 2))),
        1,
    ),
    "pools": (
        nn.Sequential(nn.Conv2d(1, 2, 5), nn.AvgPool2d(2), nn.Conv2d(2, 1, 5), nn.AvgPool2d(2)),
        1,
    ),
    "residual": (
        nn.Residual(
            nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1))
        ),
        2,
    ),
    "projection": (
        nn.Residual(nn.Conv2d(2, 3, 3, 2, 1), nn.Conv2d(2, 3, 1, 2)),
        2,
    ),
    "branches": (
        nn.Sequential(
            nn.Concat(nn.Identity(), nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 1, 1)),
            nn.Conv2d(4, 1, 3),
        ),
        1,
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_equals_the_footprint_of_a_gradient(name: str) -> None:
    """C26."""
    net, channels = NETS[name]
    assert neurona.receptive_field(net).size == footprint(net, channels, 33)


def test_rows_name_the_layers() -> None:
    found = neurona.receptive_field(nn.Sequential(NETS["pools"][0], nn.Tanh(), nn.Dropout()))
    assert [row.layer for row in found.layers] == ["0.0", "0.1", "0.2", "0.3"]
    assert [row.size[0] for row in found.layers] == [5, 6, 14, 16]
    assert [row.jump[0] for row in found.layers] == [1, 2, 2, 4]
    assert found.layers[1].type == "AvgPool2d" and found.size == (16, 16) and found.jump == (4, 4)
    assert neurona.receptive_field(nn.ReLU()) == ((1,), (1,), [])
    assert neurona.receptive_field(nn.Conv2d(1, 1, 3)).layers[0].layer == "(model)"
    sequence = nn.Sequential(nn.Conv1d(1, 1, 5, 2), nn.MaxPool1d(3))
    assert neurona.receptive_field(sequence)[:2] == ((9,), (6,))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (nn.Sequential(nn.Flatten()), ValueError, "got Flatten at '0'"),
        (nn.ConvTranspose2d(1, 1, 3), ValueError, "got ConvTranspose2d at ''"),
        (nn.Residual(nn.Linear(2, 2)), ValueError, "got Linear at 'body'"),
        (
            nn.Sequential(nn.Residual(nn.Conv2d(1, 1, 3, 2))),
            ValueError,
            "the branches of Residual at '0' must have one stride, got [(1, 1), (2, 2)]",
        ),
        ("model", TypeError, "receptive_field: model must be a Module, got str"),
    ],
)
def test_bad_arguments(model: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        neurona.receptive_field(model)
