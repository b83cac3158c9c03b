"""NeuronaClassifier: scikit-learn's classifier round a module that gives logits."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from ..reference import log_softmax_forward, softmax_forward
from .estimator import NeuronaEstimator


class NeuronaClassifier(ClassifierMixin, NeuronaEstimator):
    """A classifier of rows X (N, features), or of X (N, ...) with a module of one's own.

    The parameters are told at `__init__`. The module gives one logit per class, (N, classes); the
    loss `criterion` is that of logits and class numbers, "cross_entropy" by default.

    After `fit` there are `classes_`, `module_`, `optimizer_`, `n_iter_` (epochs), `loss_curve_`
    (the mean loss of each), `validation_loss_curve_` (the same with `early_stopping`), and
    scikit-learn's `n_features_in_` and `feature_names_in_`. A pickle holds the weights as the bytes
    of a safetensors file. Raises TypeError or ValueError in `fit` for parameters or data that
    cannot be, and ValueError when the loss becomes nan.

    >>> from sklearn.datasets import load_iris
    >>> from neurona.sklearn import NeuronaClassifier
    >>> x, y = load_iris(return_X_y=True)
    >>> names = load_iris().target_names[y]
    >>> classifier = NeuronaClassifier(lr=0.02, max_epochs=40, random_state=0)
    >>> classifier.fit(x, names).predict(x[:1]).tolist()
    ['setosa']
    """

    _default_criterion = "cross_entropy"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains from the beginning on X (N, ...) and labels y (N,); returns the estimator.

        `sample_weight` (N,), >= 0, weighs the losses; a weight of 0 leaves the sample out.
        """
        X, y = self._check_training(X, y, reset=True)
        check_classification_targets(y)
        self.classes_ = unique_labels(y)
        self._fit(X, np.searchsorted(self.classes_, y), sample_weight)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Trains one epoch more on X and y; the first call needs all labels as `classes`.

        A call per epoch on the same data gives the bits of `fit` with as many epochs.
        """
        first = not hasattr(self, "module_")
        X, y = self._check_partial(X, y, first)
        check_classification_targets(y)
        if classes is not None:
            given = unique_labels(classes)
            if not first and not np.array_equal(given, self.classes_):
                raise ValueError(
                    f"NeuronaClassifier: classes must be those of the first call, "
                    f"{self.classes_}, got {given}"
                )
            self.classes_ = given
        elif first:
            raise ValueError(
                "NeuronaClassifier: classes must be given in the first call of partial_fit"
            )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"NeuronaClassifier: y must be among the classes {self.classes_}, got {unknown}"
            )
        self._partial_fit(X, np.searchsorted(self.classes_, y), sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each sample (N,)."""
        winners = self._predict(X).argmax(axis=1)
        return self.classes_[winners]

    def predict_proba(self, X: Any) -> np.ndarray:
        """softmax of the logits, float64 (N, classes), columns as in `classes_`."""
        return softmax_forward(self._logits(X), 1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log softmax of the logits, float64 (N, classes)."""
        return log_softmax_forward(self._logits(X), 1)

    def _logits(self, X: Any) -> np.ndarray:
        # In float64 the probabilities of a row add up to 1 as closely as scikit-learn expects.
        return self._predict(X).astype(np.float64)

    def _count_outputs(self, y: np.ndarray) -> int:
        return len(self.classes_)
