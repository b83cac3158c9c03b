"""One optimizer step over all parameters, in place.

    SGD:  g += weight_decay p;  b = momentum b + (1 - dampening) g;  g = g + momentum b (nesterov)
    or b;  p -= lr g Adam: g += weight_decay p (or p -= lr weight_decay p, AdamW);  m = beta1 m + (1
    - beta1) g;
          v = beta2 v + (1 - beta2) g^2;
          p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

Nesterov momentum as in Sutskever et al. 2013, Adam as in Kingma and Ba 2015, AdamW as in Loshchilov
and Hutter 2019, amsgrad (the running maximum of v in place of v) as in Reddi et al. 2018.
Everything is checked before anything changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from . import _checks as check

Arrays = Sequence[np.ndarray]


def checked_lists(op: str, params: Arrays, others: dict[str, Arrays], updated: set[str]) -> None:
    """Raise unless all lists match the parameters one by one and updated arrays are writable."""
    for name, arrays in {"params": params, **others}.items():
        if not isinstance(arrays, (list, tuple)):
            raise TypeError(f"{op}: {name} must be a list of arrays, got {type(arrays).__name__}")
        if len(arrays) != len(params):
            raise ValueError(
                f"{op}: {name} must have one array per parameter ({len(params)}), got {len(arrays)}"
            )
        for i, value in enumerate(arrays):
            label = f"{name}[{i}]"
            check.array(op, label, value)
            check.same_dtype(op, label, value, f"params[{i}]", params[i])
            check.shape(op, label, value, params[i].shape)
            if name in updated:
                check.writable(op, label, value)


@np.errstate(all="ignore")
def sgd_step(
    params: Arrays,
    grads: Arrays,
    buffers: Arrays | None,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    first: bool = False,
) -> None:
    """Update params, and buffers when momentum != 0, in place; with first=True the buffers become
    the gradient.

    All lists hold arrays of the same shapes; buffers may be None when momentum == 0. Raises
    TypeError for a wrong dtype, ValueError for lists, shapes or ranges that do not fit or read-only
    arrays.

    >>> p = np.array([1.0])
    >>> sgd_step([p], [np.array([2.0])], None, lr=0.25)
    >>> p
    array([0.5])
    """
    op = "sgd_step"
    lr = check.non_negative(op, "lr", lr)
    momentum = check.non_negative(op, "momentum", momentum)
    dampening = check.number(op, "dampening", dampening)
    weight_decay = check.non_negative(op, "weight_decay", weight_decay)
    if nesterov and (momentum == 0 or dampening != 0):
        raise ValueError(
            f"{op}: nesterov must have momentum > 0 and dampening == 0, got momentum={momentum}, "
            f"dampening={dampening}"
        )
    others = {"grads": grads}
    if momentum != 0:
        if buffers is None:
            raise ValueError(f"{op}: buffers must be given when momentum != 0, got None")
        others["buffers"] = buffers
    checked_lists(op, params, others, {"params", "buffers"})

    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        if weight_decay != 0:
            g = g + weight_decay * p
        if momentum != 0 and buffers is not None:
            buffers[i][...] = g if first else momentum * buffers[i] + (1 - dampening) * g
            g = g + momentum * buffers[i] if nesterov else buffers[i]
        p[...] = p - lr * g


@np.errstate(all="ignore")
def adam_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    max_exp_avg_sqs: Arrays | None = None,
) -> None:
    """Update params, exp_avgs, exp_avg_sqs and (amsgrad) max_exp_avg_sqs in place; `step` counts
    from 1.

    All lists hold arrays of the same shapes; decoupled=True is AdamW. Raises TypeError for a wrong
    dtype, ValueError for lists, shapes or ranges that do not fit or read-only arrays.

    >>> p, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam_step([p], [np.array([2.0])], [m], [v], step=1, lr=0.25)
    >>> p.round(4)
    array([0.75])
    """
    op = "adam_step"
    lr = check.non_negative(op, "lr", lr)
    step = check.integer(op, "step", step, 1, 2**63 - 1)
    beta1 = check.number(op, "beta1", beta1, "in [0, 1)", lambda v: 0 <= v < 1)
    beta2 = check.number(op, "beta2", beta2, "in [0, 1)", lambda v: 0 <= v < 1)
    eps = check.non_negative(op, "eps", eps)
    weight_decay = check.non_negative(op, "weight_decay", weight_decay)
    others = {"grads": grads, "exp_avgs": exp_avgs, "exp_avg_sqs": exp_avg_sqs}
    if max_exp_avg_sqs is not None:
        others["max_exp_avg_sqs"] = max_exp_avg_sqs
    updated = {"params", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs"}
    checked_lists(op, params, others, updated)

    correction1, correction2 = 1 - beta1**step, 1 - beta2**step
    for i, p in enumerate(params):
        g = -grads[i] if maximize else grads[i]
        decayed = p
        if weight_decay != 0 and decoupled:
            decayed = p * (1 - lr * weight_decay)
        elif weight_decay != 0:
            g = g + weight_decay * p
        m, v = exp_avgs[i], exp_avg_sqs[i]
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g * g
        if max_exp_avg_sqs is not None:
            max_exp_avg_sqs[i][...] = np.maximum(max_exp_avg_sqs[i], v)
            v = max_exp_avg_sqs[i]
        denominator = np.sqrt(v) / math.sqrt(correction2) + eps
        p[...] = decayed - lr / correction1 * m / denominator
