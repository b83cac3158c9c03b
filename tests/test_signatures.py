"""Names, order, kinds and defaults of arguments equal PyTorch's, so that calls written for it keep
their meaning.

`signatures.json` was read off PyTorch 2.13 with `inspect.signature`; functions that it implements
without a Python signature are listed as it documents them.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import neurona
from neurona import autograd, nn, optim, random, utils

TABLE: dict[str, list[list[Any]]] = json.loads(
    (Path(__file__).parent / "signatures.json").read_text()
)
# Keyword-only arguments of PyTorch that would have nothing to act on here.
LEFT_OUT = {
    # Forward mode, batched gradients and the fast mode do not exist here.
    "autograd.gradcheck": {
        "check_undefined_grad",
        "check_grad_dtypes",
        "check_batched_grad",
        "masked",
        "fast_mode",
        "check_batched_forward_grad",
        "check_forward_ad",
        "check_backward_ad",
    },  # fmt: skip
    "optim.SGD": {"differentiable"},
    "optim.Adam": {"differentiable", "capturable"},
    "optim.AdamW": {"differentiable", "capturable"},
    "optim.Adagrad": {"differentiable"},
    "optim.Adadelta": {"differentiable"},
    "optim.Adamax": {"differentiable"},
    "optim.NAdam": {"differentiable"},
    "utils.data.DataLoader": {"pin_memory_device", "in_order"},
    "nn.Module.register_forward_hook": {"always_call"},
}
ROOTS = {"autograd": autograd, "nn": nn, "optim": optim, "random": random, "utils": utils}
ANY_DEFAULT = "<object>"
REQUIRED = "<required>"


def find(path: str) -> Any:
    first, *rest = path.split(".")
    found: Any = ROOTS[first]
    for part in rest:
        found = getattr(found, part)
    return found


def described(function: Any) -> list[list[Any]]:
    rows = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
        rows.append([parameter.name, parameter.kind.name, default])
    return rows


@pytest.mark.parametrize("path", TABLE)
def test_signature_equals_pytorch(path: str) -> None:
    ours = described(find(path))
    left_out = LEFT_OUT.get(path, set())
    theirs = [row for row in TABLE[path] if row[0] not in left_out]
    assert all(row[1] == "KEYWORD_ONLY" for row in TABLE[path] if row[0] in left_out)

    def positional(rows: list[list[Any]]) -> list[tuple[str, str]]:
        return [(name, kind) for name, kind, _ in rows if kind != "KEYWORD_ONLY"]

    assert positional(ours) == positional(theirs)
    defaults = {name: default for name, _, default in ours}
    for name, _, default in theirs:
        assert name in defaults
        wanted = tuple(default) if isinstance(default, list) else default
        if wanted != ANY_DEFAULT:
            assert defaults[name] == wanted, f"default of {name}"
    own = [row for row in ours if row[0] not in {name for name, _, _ in theirs}]
    assert all(default != REQUIRED for _, _, default in own), "own arguments have defaults"


def test_minimum_pooling_takes_the_arguments_of_maximum_pooling() -> None:
    assert described(nn.MinPool2d) == described(nn.MaxPool2d)
    assert described(nn.functional.min_pool2d) == described(nn.functional.max_pool2d)


def test_manual_seed_is_at_the_top() -> None:
    assert list(inspect.signature(neurona.manual_seed).parameters) == ["seed"]
