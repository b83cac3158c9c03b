"""neurona.sklearn by scikit-learn's own checks, and as part of its searches and pipelines."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from typing import Any

import pandas
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import neurona
from neurona import nn
from neurona.checkpoint import parse_checkpoint
from neurona.sklearn import NeuronaClassifier, NeuronaRegressor

X, Y = load_iris(return_X_y=True)


def net(width: int = 8, outputs: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, outputs))


def expected_failed_checks(estimator: Any) -> dict[str, str]:
    return {
        "check_sample_weight_equivalence_on_dense_data": (
            "asks for agreement to 1e-7 between weights and repeated rows, whose float32 gradients "
            "are summed in another order; test_sklearn_training.py shows it to 1e-4"
        )
    }


@parametrize_with_checks(
    [
        NeuronaClassifier(lr=0.01, max_epochs=50),
        NeuronaRegressor(lr=0.01, max_epochs=100),
    ],
    expected_failed_checks=expected_failed_checks,
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_scikit_learn_is_imported_when_used_and_its_lack_explained() -> None:
    code = (
        "import sys, neurona\n"
        "assert 'sklearn' not in sys.modules and 'neurona.sklearn' not in sys.modules\n"
        "sys.modules['sklearn'] = None\n"
        "try:\n    neurona.sklearn\n"
        "except ImportError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    expected = "neurona.sklearn: needs scikit-learn >= 1.6: pip install neurona[sklearn]"
    assert expected in result.stdout


def test_a_search_over_a_pipeline() -> None:
    pipe = make_pipeline(
        StandardScaler(), NeuronaClassifier(lr=0.05, max_epochs=40, random_state=0)
    )
    grid = {
        "neuronaclassifier__hidden_layer_sizes": [(), (16,)],
        "neuronaclassifier__optimizer__weight_decay": [0.0, 10.0],
    }
    search = GridSearchCV(pipe, grid, cv=3, error_score="raise").fit(X, Y)
    assert search.best_params_["neuronaclassifier__optimizer__weight_decay"] == 0.0
    assert search.best_estimator_.score(X, Y) > 0.9


def test_a_search_over_the_arguments_of_a_module() -> None:
    classifier = NeuronaClassifier(net, module__width=1, lr=0.05, max_epochs=20, random_state=0)
    search = GridSearchCV(classifier, {"module__width": [1, 12]}, cv=3, error_score="raise")
    best = search.fit(X, Y).best_estimator_
    width = search.best_params_["module__width"]
    assert [p.shape for p in best.module_.parameters()][0] == (width, 4)


def test_nested_arguments_are_parameters() -> None:
    classifier = NeuronaClassifier(net, module__width=5, optimizer__momentum=0.9)
    params = classifier.get_params()
    assert (params["module__width"], params["optimizer__momentum"]) == (5, 0.9)
    assert clone(classifier).get_params() == params
    assert classifier.set_params(module__width=7, tol=0.1).get_params()["module__width"] == 7
    assert "module__width=7" in repr(classifier)
    assert "module__width" in classifier._repr_html_()


def test_feature_names() -> None:
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    classifier = NeuronaClassifier(max_epochs=1, random_state=0).fit(frame, Y)
    assert classifier.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert classifier.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(frame[["b", "a", "c", "d"]])


class Globals(pickle.Unpickler):
    """Notes what a pickle refers to."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.seen: list[str] = []

    def find_class(self, module: str, name: str) -> Any:
        self.seen.append(f"{module}.{name}")
        return super().find_class(module, name)


@pytest.mark.parametrize("module", [None, net])
def test_a_pickle_holds_weights_as_safetensors(module: Any) -> None:
    classifier = NeuronaClassifier(module, max_epochs=2, random_state=0).fit(X, Y)
    expected = classifier.predict_proba(X)
    classifier.set_params(module=None, hidden_layer_sizes=(3,), optimizer="sgd")
    data = pickle.dumps(classifier)
    reader = Globals(data)
    copy = reader.load()
    assert (copy.predict_proba(X) == expected).all()
    objects = ("neurona.nn", "neurona.tensor", "neurona.optim.optimizer")
    assert not [name for name in reader.seen if name.startswith(objects)]
    weights = parse_checkpoint(classifier.__getstate__()["_safetensors"]).weights
    assert weights.keys() == dict(classifier.module_.named_parameters()).keys()


def test_pickling_leaves_the_users_random_numbers_alone() -> None:
    classifier = NeuronaClassifier(max_epochs=1, random_state=0).fit(X, Y)
    before = neurona.get_rng_state()
    pickle.loads(pickle.dumps(classifier))
    assert neurona.get_rng_state() == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hidden_layer_sizes": (0,)}, ValueError, "hidden_layer_sizes must be >= 1, got 0"),
        ({"hidden_layer_sizes": 2.5}, TypeError, "hidden_layer_sizes must be an int, got 2.5"),
        ({"activation": "swish"}, ValueError, "activation must be one of identity, .* got 'swish'"),
        ({"module": net()}, TypeError, "module must be a class or a function .* got Sequential"),
        ({"module": dict}, TypeError, "module must make a Module, got dict"),
        ({"module__width": 3}, ValueError, "module must be given with module__width, got None"),
        ({"optimizer": 3}, TypeError, "optimizer must be a class or a function .* got int"),
        ({"optimizer": "adm"}, ValueError, "did you mean 'adam'"),
        ({"optimizer": lambda params, lr: lr}, TypeError, "must make an Optimizer, got float"),
        ({"max_iter": 0}, ValueError, "max_iter must be >= 1, got 0"),
        ({"max_epochs": True}, TypeError, "max_epochs must be an int, got True"),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be >= 1, got 0"),
        ({"batch_size": -1}, ValueError, "batch_size must be >= 1, got -1"),
        ({"alpha": -1.0}, ValueError, "alpha must be finite and >= 0, got -1.0"),
        ({"tol": "x"}, TypeError, "tol must be a number, got str"),
        ({"learning_rate_init": 0}, ValueError, "learning_rate_init must be finite and > 0, got 0"),
        ({"lr": float("nan")}, ValueError, "lr must be finite and > 0, got nan"),
        ({"validation_fraction": 1.0}, ValueError, r"validation_fraction must be in \(0, 1\)"),
        ({"criterion": "mean"}, ValueError, "loss must be one of"),
        ({"module": net, "module__outputs": 2}, ValueError, r"shape \(N, 3\), got \(N, 2\)"),
        ({"lr": 1e30, "optimizer": "sgd"}, ValueError, "loss must stay finite, got nan or inf in"),
    ],
)
def test_bad_parameters_are_told_by_fit(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    classifier = NeuronaClassifier(**arguments)
    with pytest.raises(error, match=message):
        classifier.fit(X, Y)


def test_a_misspelt_parameter_is_told_at_once() -> None:
    with pytest.raises(TypeError, match="NeuronaRegressor: .* did you mean 'hidden_layer_sizes'"):
        NeuronaRegressor(hidden_layer_size=(3,))
    with pytest.raises(ValueError, match="Invalid parameter 'widths'"):
        NeuronaRegressor().set_params(widths=3)
