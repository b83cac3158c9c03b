"""Metric learning: embeddings in which samples of one class lie close together.

Losses are `nn.ContrastiveLoss` and `nn.TripletMarginLoss`; here are the shared branches, the
samplers of tuples, and mining. A label set of N samples has about N^2 pairs and N^3 triplets
(`count_tuples`), too many to go through; mining picks those that still teach something.
"""

from __future__ import annotations

from .distances import pairwise_distances, triplet_kind
from .embedding import Siamese, embed, nearest_neighbor_accuracy
from .mining import batch_hard, count_tuples, mine_offline
from .samplers import PairSampler, PKSampler, TripletSampler

__all__ = [
    "PKSampler",
    "PairSampler",
    "Siamese",
    "TripletSampler",
    "batch_hard",
    "count_tuples",
    "embed",
    "mine_offline",
    "nearest_neighbor_accuracy",
    "pairwise_distances",
    "triplet_kind",
]
