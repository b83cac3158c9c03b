"""Every loss layer with arguments and its losses written out in float64."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from neurona import Tensor, nn

U = 2.0**-24
N, C = 5, 4
RNG = np.random.default_rng(12)
X, Y = RNG.normal(0, 2, (2, N, C))
P, Q = RNG.uniform(0.05, 0.95, (2, N, C))
SIGNS = np.sign(RNG.normal(size=(N, C)))
A, B, NEGATIVES = RNG.normal(0, 1, (3, N, C))
LABELS = np.array([0, 3, 1, 3, 2])
SAME = np.array([1, 0, 0, 1, 0])
WEIGHT = np.array([0.5, 2.0, 1.0, 3.0])
HOT = np.eye(C)[LABELS]


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def picked(x: np.ndarray) -> np.ndarray:
    return x[np.arange(N), LABELS]


def huber(e: np.ndarray, delta: float) -> np.ndarray:
    return np.where(np.abs(e) < delta, e * e / 2, delta * np.abs(e) - delta * delta / 2)


def length(d: np.ndarray, p: float) -> np.ndarray:
    return np.linalg.norm(d, ord=p, axis=1)


def hinges(margin: float) -> np.ndarray:
    return np.maximum(0, margin - picked(X)[:, None] + X) * (1 - HOT)


def triplet(near: np.ndarray, far: np.ndarray, margin: float) -> np.ndarray:
    return np.maximum(0, margin + near - far)


# The layer, its arguments (the float ones are checked for gradients), the loss of each element.
Case = tuple[Callable[..., nn.Module], tuple[np.ndarray, ...], np.ndarray]
SIGMOID = 1 / (1 + np.exp(-X))
CASES: dict[str, Case] = {
    "mse": (nn.MSELoss, (X, Y), (X - Y) ** 2),
    "mse half": (lambda **o: nn.MSELoss(scale=0.5, **o), (X, Y), 0.5 * (X - Y) ** 2),
    "l1": (nn.L1Loss, (X, Y), np.abs(X - Y)),
    "huber": (nn.HuberLoss, (X, Y), huber(X - Y, 1)),
    "huber .3": (lambda **o: nn.HuberLoss(delta=0.3, **o), (X, Y), huber(X - Y, 0.3)),
    "smooth_l1": (lambda **o: nn.SmoothL1Loss(beta=0.3, **o), (X, Y), huber(X - Y, 0.3) / 0.3),
    "smooth_l1 0": (lambda **o: nn.SmoothL1Loss(beta=0.0, **o), (X, Y), np.abs(X - Y)),
    "bce": (nn.BCELoss, (P, Q), -(Q * np.log(P) + (1 - Q) * np.log(1 - P))),
    "bce_logits": (
        nn.BCEWithLogitsLoss,
        (X, Q),
        -(Q * np.log(SIGMOID) + (1 - Q) * np.log(1 - SIGMOID)),
    ),
    "bce_logits weighted": (
        lambda **o: nn.BCEWithLogitsLoss(WEIGHT.astype(o.pop("dtype")), pos_weight=WEIGHT[:1], **o),
        (X, Q),
        -WEIGHT * (WEIGHT[0] * Q * np.log(SIGMOID) + (1 - Q) * np.log(1 - SIGMOID)),
    ),
    "kl": (nn.KLDivLoss, (np.log(P), Q), Q * np.log(Q / P)),
    "kl log": (
        lambda **o: nn.KLDivLoss(log_target=True, **o),
        (np.log(P), np.log(Q)),
        Q * np.log(Q / P),
    ),
    "hinge": (nn.HingeLoss, (X, SIGNS), np.maximum(0, 1 - SIGNS * X)),
    "multi_margin": (nn.MultiMarginLoss, (X, LABELS), hinges(1).sum(1) / C),
    "multi_margin 2": (
        lambda **o: nn.MultiMarginLoss(2, 0.5, **o),
        (X, LABELS),
        (hinges(0.5) ** 2).sum(1) / C,
    ),
    "multi_margin max": (
        lambda **o: nn.MultiMarginLoss(form="max", **o),
        (X, LABELS),
        hinges(1).max(1),
    ),
    "cross_entropy": (nn.CrossEntropyLoss, (X, LABELS), -np.log(picked(softmax(X)))),
    "cross_entropy one-hot": (
        nn.CrossEntropyLoss,
        (X, HOT.astype(int)),
        -np.log(picked(softmax(X))),
    ),
    "cross_entropy probabilities": (
        lambda **o: nn.CrossEntropyLoss(from_logits=False, **o),
        (P, LABELS),
        -np.log(picked(P / P.sum(1, keepdims=True))),
    ),
    **{
        f"focal {gamma:g}": (
            lambda g=gamma, **o: nn.FocalLoss(g, **o),
            (X, LABELS),
            -((1 - picked(softmax(X))) ** gamma) * np.log(picked(softmax(X))),
        )
        for gamma in (0.0, 0.5, 1.0, 2.0, 5.0)
    },
    "contrastive": (
        lambda **o: nn.ContrastiveLoss(4.0, **o),
        (A, B, SAME),
        np.where(SAME, length(A - B, 2) ** 2, np.maximum(0, 4 - length(A - B, 2)) ** 2),
    ),
    "contrastive plain l1": (
        lambda **o: nn.ContrastiveLoss(9.0, squared_neg=False, distance="l1", **o),
        (A, B, SAME),
        np.where(SAME, length(A - B, 1) ** 2, np.maximum(0, 9 - length(A - B, 1))),
    ),
    **{
        f"triplet {p:g} {swap}": (
            lambda p=p, swap=swap, **o: nn.TripletMarginLoss(2.0, p, 1e-6, swap, **o),
            (A, B, NEGATIVES),
            triplet(
                length(A - B + 1e-6, p),
                np.minimum(
                    length(A - NEGATIVES + 1e-6, p),
                    length(B - NEGATIVES + 1e-6, p) if swap else np.inf,
                ),
                2,
            ),
        )
        for p, swap in itertools.product((1.0, 2.0, 3.0, math.inf), (False, True))
    },
    "triplet squared": (
        lambda **o: nn.TripletMarginLoss(2.0, squared=True, **o),
        (A, B, NEGATIVES),
        triplet(length(A - B, 2) ** 2, length(A - NEGATIVES, 2) ** 2, 2),
    ),
    "triplet squared l1": (
        lambda **o: nn.TripletMarginLoss(2.0, squared=True, distance="l1", **o),
        (A, B, NEGATIVES),
        triplet(length(A - B, 1) ** 2, length(A - NEGATIVES, 1) ** 2, 2),
    ),
}
# Targets in which the formulas are no functions, or whose gradient nobody asks for.
CONSTANT_TARGET = ("hinge", "cross_entropy")


def build(name: str, dtype: Any, reduction: str) -> nn.Module:
    make = CASES[name][0]
    if name.endswith("weighted"):
        made = make(reduction=reduction, dtype=dtype)
        made.pos_weight = made.pos_weight.to(dtype)
        return made
    return make(reduction=reduction)


def arguments(name: str, dtype: Any, grad: bool = False) -> list[Tensor]:
    arrays = CASES[name][1]
    tensors = [Tensor(a.astype(dtype) if a.dtype.kind == "f" else a.copy()) for a in arrays]
    last = 1 if name.startswith(CONSTANT_TARGET) else len(tensors)
    for tensor in tensors[:last]:
        tensor.requires_grad_(grad and tensor.dtype.kind == "f")
    return tensors
