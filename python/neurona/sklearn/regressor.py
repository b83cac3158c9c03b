"""NeuronaRegressor: scikit-learn's regressor round a module that gives numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from .estimator import NeuronaEstimator


class NeuronaRegressor(RegressorMixin, NeuronaEstimator):
    """A regression of y (N,) or (N, targets) on rows X (N, features), or on X (N, ...) with a
    module of one's own.

    The parameters are told at `__init__`. The module gives (N, targets), (N, 1) for y (N,); the
    loss `criterion` is that of outputs and targets of this shape, "mse" by default.

    After `fit` there are `module_`, `optimizer_`, `n_iter_` (epochs), `loss_curve_` (the mean loss
    of each), `validation_loss_curve_` (with `early_stopping`), and scikit-learn's
    `n_features_in_` and `feature_names_in_`. A pickle holds the weights as the bytes of a
    safetensors file. Raises TypeError or ValueError in `fit` for parameters or data that cannot be,
    and ValueError when the loss becomes nan.

    >>> import numpy as np
    >>> from neurona.sklearn import NeuronaRegressor
    >>> x = np.linspace(-1, 1, 100)[:, None]
    >>> regressor = NeuronaRegressor(lr=0.01, batch_size=10, max_epochs=50, random_state=0)
    >>> regressor.fit(x, np.sin(3 * x[:, 0])).score(x, np.sin(3 * x[:, 0])) > 0.99
    True
    """

    _default_criterion = "mse"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains from the beginning on X (N, ...) and y (N,) or (N, targets); returns the
        estimator.

        `sample_weight` (N,), >= 0, weighs the losses; a weight of 0 leaves the sample out.
        """
        X, y = self._check_training(X, y, reset=True, y_numeric=True, multi_output=True)
        self._target_shape = y.shape[1:]
        self._fit(X, _targets(y), sample_weight)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains one epoch more on X and y.

        A call per epoch on the same data gives the bits of `fit` with as many epochs.
        """
        first = not hasattr(self, "module_")
        X, y = self._check_partial(X, y, first, y_numeric=True, multi_output=True)
        if first:
            self._target_shape = y.shape[1:]
        elif y.shape[1:] != self._target_shape:
            shape = ", ".join(["N", *map(str, self._target_shape)])
            raise ValueError(f"NeuronaRegressor: y must have shape ({shape}), got {y.shape}")
        self._partial_fit(X, _targets(y), sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The outputs in the shape of y, float64 (N,) or (N, targets)."""
        outputs = self._predict(X)
        return outputs.reshape(len(outputs), *self._target_shape).astype(np.float64)

    def _count_outputs(self, y: np.ndarray) -> int:
        return y.shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _targets(y: np.ndarray) -> np.ndarray:
    """float32 (N, targets), the shape of the module's output."""
    return y.reshape(len(y), -1).astype(np.float32)
