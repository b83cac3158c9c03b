"""Rows of optimizers: one step over 16 tensors of a million elements each, 64 MB of parameters."""

from __future__ import annotations

from typing import Any

from . import place
from .case import Case, Rows, normals, relative, row, torch_here

ROWS: Rows = {}

# name: (class, options of both libraries, PyTorch's fastest form, bytes per parameter). What counts
# is the parameter, its gradient and its moments; all but the gradient are written too.
OPTIMIZERS: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "sgd": ("SGD", {"lr": 1e-2}, "fused", 12),
    "sgd_momentum": ("SGD", {"lr": 1e-2, "momentum": 0.9}, "fused", 20),
    "adam": ("Adam", {"lr": 1e-3}, "fused", 28),
    "adamw": ("AdamW", {"lr": 1e-3, "weight_decay": 0.01}, "fused", 28),
    "rmsprop": ("RMSprop", {"lr": 1e-2}, "foreach", 20),
    "adagrad": ("Adagrad", {"lr": 1e-2}, "foreach", 20),
    "adadelta": ("Adadelta", {"lr": 1.0}, "foreach", 28),
    "adamax": ("Adamax", {"lr": 2e-3}, "foreach", 28),
    "nadam": ("NAdam", {"lr": 2e-3}, "foreach", 28),
}
TENSORS = 16


def optimizer(name: str) -> Case:
    """Whole steps of both libraries' classes; the first updates are compared."""
    import torch

    from neurona import Tensor, optim

    kind, options, form, bytes_each = OPTIMIZERS[name]
    count = place.size(1 << 20, 1000)
    values = [normals(count + i)[:count] for i in range(TENSORS)]
    ours, theirs = [], []
    for i, value in enumerate(values):
        gradient = 0.1 * normals(count + TENSORS + i)[:count]
        ours.append(Tensor(value.copy()).to("cuda").requires_grad_())
        ours[-1].grad = Tensor(gradient).to("cuda")
        theirs.append(torch_here(value.copy()).requires_grad_())
        theirs[-1].grad = torch_here(gradient)
    our_steps = getattr(optim, kind)(ours, **options)
    their_steps = getattr(torch.optim, kind)(theirs, **options, **{form: True})
    our_steps.step()
    their_steps.step()
    error = max(
        relative(our.detach().cpu().numpy() - value, their.detach().cpu().numpy() - value)
        for our, their, value in zip(ours, theirs, values, strict=True)
    )
    works = {"neurona": our_steps.step, "torch": their_steps.step}
    # An update is a small part of the parameter to which it is rounded.
    return Case(works, 0.0, float(bytes_each * TENSORS * count), float(error), 1e-3, form)


for _name in OPTIMIZERS:
    row(ROWS, f"{_name}_16M")(lambda n=_name: optimizer(n))
