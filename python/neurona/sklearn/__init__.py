"""Estimators for scikit-learn: an MLP by its names, or any module by skorch's.

They need scikit-learn 1.6 or later (`pip install neurona[sklearn]`), which is imported with this
submodule and not with `neurona`.

An MLP, as `sklearn.neural_network.MLPClassifier` would be called:

>>> from sklearn.datasets import load_iris
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> from neurona.sklearn import NeuronaClassifier
>>> x, y = load_iris(return_X_y=True)
>>> mlp = NeuronaClassifier(learning_rate_init=0.02, tol=0.001, random_state=0)
>>> model = make_pipeline(StandardScaler(), mlp).fit(x, y)
>>> model.score(x, y) > 0.95
True

A module of one's own, whose arguments `module__...` a grid search can vary:

>>> from neurona import nn
>>> def net(width=8):
...     return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))
>>> classifier = NeuronaClassifier(
...     net, module__width=16, optimizer="sgd", optimizer__momentum=0.9, lr=0.1, max_epochs=20,
...     batch_size=16, random_state=0,
... )
>>> classifier.fit(x, y).predict_proba(x).shape, classifier.n_iter_
((150, 3), 20)
"""

from __future__ import annotations

try:
    from .classifier import NeuronaClassifier
    from .regressor import NeuronaRegressor
except ImportError as error:  # `validate_data` came with 1.6
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    raise ImportError(
        "neurona.sklearn: needs scikit-learn >= 1.6: pip install neurona[sklearn]"
    ) from error

__all__ = ["NeuronaClassifier", "NeuronaRegressor"]
