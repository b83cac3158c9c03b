"""What the demos of small networks claim, on other seeds: XOR, Iris, digits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from neurona import nn

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a demo by name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = set(sys.modules)
    yield import_module
    for name in set(sys.modules) - before:
        if str(EXAMPLES) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


Script = Callable[[str], ModuleType]


def test_xor_needs_a_hidden_layer_wide_enough(script: Script) -> None:
    """One ReLU never makes XOR, eight nearly always do."""
    demo = script("gates_xor")
    solved = [demo.table(demo.train(8, seed)) == demo.XOR for seed in range(50, 56)]
    assert sum(solved) >= 5
    assert demo.table(demo.train(1, 50)) != demo.XOR


@pytest.mark.parametrize("kind", ["sigmoid", "rigid sigmoid", "step"])
@pytest.mark.parametrize("features", ["sepals", "petals", "all four"])
def test_n29_one_neuron_gets_all_of_setosa_and_versicolor(
    script: Script, kind: str, features: str
) -> None:
    demo = script("iris_perceptron")
    x, y = demo.two_species(0)
    x = x[:, demo.FEATURES[features]]
    assert demo.right(demo.train(kind, x, y, seed=7), x, y) == 100


def test_n29_hidden_layers_get_what_no_neuron_can(script: Script) -> None:
    """Of versicolor and virginica, a layer gets less than 100 flowers, the 12-6 net 99 or more."""
    demo = script("iris_mlp")
    x, y = demo.two_species(1)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    right = {
        sizes: round(100 * demo.train(sizes, x, y, 7, 300).evaluate(x, y)[1])
        for sizes in ((4, 2), (4, 12, 6, 2))
    }
    assert 97 <= right[4, 2] <= 98
    assert right[4, 12, 6, 2] >= 99


def test_n27_digits_without_convolutions(script: Script) -> None:
    """The course's settings on 8x8 digits, from Glorot's start: above .96 after 100 epochs."""
    demo = script("digits_mlp_59210")
    data = demo.shuffled_digits(1)
    assert [len(data.train[1]), len(data.test[1])] == [1437, 360]
    trainer = demo.trainer_of(demo.mnist64._replace(in_features=64), 1)
    for layer in trainer.model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    trainer.fit(*data.train, 100, 100, verbose=0)
    assert trainer.evaluate(*data.test)[1] >= 0.96
    assert trainer.lr == pytest.approx(0.01 / (1 + 1e-6 * 1500), rel=1e-12)
