"""Losses, by topic."""

from __future__ import annotations

from .classification import cross_entropy, focal_loss, nll_loss
from .distance import contrastive_loss, pairwise_distance, triplet_margin_loss
from .margin import hinge_loss, multi_margin_loss
from .probability import binary_cross_entropy, binary_cross_entropy_with_logits, kl_div
from .regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "contrastive_loss",
    "cross_entropy",
    "focal_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "multi_margin_loss",
    "nll_loss",
    "pairwise_distance",
    "smooth_l1_loss",
    "triplet_margin_loss",
]
