"""summary: counts of parameters and multiply-accumulates by hand, and a model left as it was."""

from __future__ import annotations

import importlib
from itertools import pairwise

import numpy as np
import pytest

import neurona
from neurona import nn


def lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def test_lenet_by_hand() -> None:
    report = neurona.summary(lenet(), (1, 1, 28, 28))
    assert [layer["params"] for layer in report.layers if layer["params"]] == [
        156,
        2416,
        48120,
        10164,
        850,
    ]
    totals = report.totals
    assert totals["params"] == totals["trainable_params"] == 61706
    assert totals["param_bytes"] == 4 * 61706
    macs = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    assert totals["macs"] == macs
    assert totals["depth"] == 5 and totals["width"] == 120
    first = report.layers[0]
    assert (first["layer"], first["type"], first["kernel"]) == ("0", "Conv2d", "5x5")
    assert first["output"] == (1, 6, 28, 28)
    assert neurona.summary(lenet(), (4, 1, 28, 28)).totals["macs"] == 4 * macs


def test_dense_net_of_the_course() -> None:
    """5-7-7-7-7-4: 7 * 6 + 3 * 7 * 8 + 4 * 8 = 242 parameters."""
    sizes = [5, 7, 7, 7, 7, 4]
    net = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
    totals = neurona.summary(net, (1, 5)).totals
    assert totals["params"] == 242 and totals["depth"] == 5 and totals["width"] == 7


def test_grouped_and_transposed_convolutions() -> None:
    grouped = neurona.summary(nn.Conv2d(8, 16, 3, groups=4, bias=False), (2, 8, 5, 5))
    assert grouped.layers[0]["layer"] == "(model)"
    assert grouped.totals["params"] == 16 * 2 * 9
    assert grouped.totals["macs"] == 2 * 16 * 3 * 3 * 2 * 9
    transposed = neurona.summary(nn.ConvTranspose2d(8, 4, 3, stride=2, groups=2), (2, 8, 5, 5))
    assert transposed.totals["macs"] == 2 * 8 * 5 * 5 * 2 * 9


def test_shared_layers_count_once() -> None:
    layer = nn.Linear(4, 4)
    report = neurona.summary(nn.Sequential(layer, nn.ReLU(), layer), (1, 4))
    assert report.totals["params"] == 20
    assert [row["params"] for row in report.layers] == [20, 0, 0]
    assert report.totals["macs"] == 32


def test_the_model_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    net[1].eval()
    net[2].weight.requires_grad = False
    state = neurona.get_rng_state()
    report = neurona.summary(net, (3, 4))
    assert [module.training for module in net] == [True, False, True] and net.training
    assert net[0].num_batches_tracked.item() == 0
    assert neurona.get_rng_state() == state
    assert report.totals["trainable_params"] == 10 and report.totals["params"] == 18
    assert all(parameter.grad is None for parameter in net.parameters())
    calls = len(report.layers)
    net(neurona.Tensor(np.ones((3, 4), np.float32)))
    assert len(report.layers) == calls


def test_text_and_dict() -> None:
    report = neurona.summary(lenet(), (1, 1, 28, 28))
    text = str(report)
    for part in ("Conv2d", "5x5", "(1, 6, 28, 28)", "48,120", "Parameters: 61,706", "Depth: 5"):
        assert part in text
    assert all(len(line) == len(line.rstrip()) for line in text.splitlines())
    data = report.as_dict()
    assert data["totals"]["params"] == 61706 and len(data["layers"]) == 12
    assert set(data["layers"][0]) == {"layer", "type", "kernel", "output", "params", "macs"}


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="the model refuses input_size .* expected input"):
        neurona.summary(nn.Sequential(nn.Linear(4, 2)), (1, 5))
    with pytest.raises(TypeError, match="model must be a Module, got str"):
        neurona.summary("model", (1, 5))
    for bad in ((0, 4), (1, 2.5), (True, 4)):
        with pytest.raises(ValueError, match="input_size must be ints >= 1"):
            neurona.summary(nn.Linear(4, 2), bad)
    net = nn.Sequential(nn.Linear(4, 2)).train()
    with pytest.raises(ValueError):
        neurona.summary(net, (1, 5))
    assert net.training and net[0](neurona.zeros(1, 4)).shape == (1, 2)


def test_callable_however_it_was_imported() -> None:
    module = importlib.import_module("neurona.summary")
    assert module.summary(nn.Linear(4, 2), (1, 4)).totals["params"] == 10
    assert module(nn.Linear(4, 2), (1, 4)).totals["params"] == 10
    assert neurona.summary(nn.Linear(4, 2), (1, 4)).totals["params"] == 10
