"""Loss layers, by topic."""

from __future__ import annotations

from .classification import CrossEntropyLoss, FocalLoss, NLLLoss
from .distance import ContrastiveLoss, PairwiseDistance, TripletMarginLoss
from .margin import HingeLoss, MultiMarginLoss
from .probability import BCELoss, BCEWithLogitsLoss, KLDivLoss
from .regression import HuberLoss, L1Loss, MSELoss, SmoothL1Loss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "ContrastiveLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PairwiseDistance",
    "SmoothL1Loss",
    "TripletMarginLoss",
]
