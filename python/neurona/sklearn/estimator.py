"""What classifier and regressor share: parameters, training, pickling."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ..callbacks import Callback, EarlyStopping, TerminateOnNaN
from ..checkpoint import dump_checkpoint, parse_checkpoint
from ..nn import Module
from ..optim import Optimizer
from ..random import get_rng_state
from ..trainer import Trainer
from .params import check_params, is_nested, nested_arguments
from .recipe import Recipe, make_criterion, make_recipe
from .training import make_stopper, random_stream

_AUTO_BATCH = 200  # scikit-learn's "auto"


class NeuronaEstimator(BaseEstimator):
    """Base of the estimators; a subclass checks the targets and names the loss."""

    module_: Module
    optimizer_: Optimizer
    n_features_in_: int
    _recipe: Recipe
    _rng_state: tuple[int, int]
    _default_criterion = ""

    @nested_arguments
    def __init__(
        self,
        module: Any = None,
        *,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        alpha: float = 0.0001,
        criterion: Any = None,
        optimizer: Any = "adam",
        learning_rate_init: float = 0.001,
        lr: float | None = None,
        batch_size: Any = "auto",
        max_iter: int = 200,
        max_epochs: int | None = None,
        shuffle: bool = True,
        tol: float = 1e-4,
        n_iter_no_change: int | None = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        verbose: Any = False,
    ) -> None:
        """Stores the parameters; `fit` checks them.

        The net, by scikit-learn's names:
            hidden_layer_sizes: widths of the hidden layers of an MLP.
            activation: between them, "identity", "logistic", "relu" or "tanh".
            alpha: L2 penalty alpha/2 |w|^2 on its weights, not its biases, divided as in
                MLPClassifier by the batch size (the sum of its sample weights); it is the weight
                decay of the optimizer.
        or a net of one's own, by skorch's:
            module: a class or function that makes a Module, called with the arguments that are
                given as module__name; hidden_layer_sizes, activation and alpha then do not count.

        The training:
            criterion: a loss as `Trainer` takes it, or a class of losses; criterion__name are its
                arguments.
            optimizer: a name as `Trainer` takes it, or a class; optimizer__name are its arguments.
            lr, learning_rate_init: the learning rate; lr counts where it is given.
            batch_size: "auto" is 200, or all samples where those are fewer.
            max_iter: at most so many epochs, until the training loss has fallen by less than `tol`
                in each of the last `n_iter_no_change`; ConvergenceWarning if that did not happen.
            max_epochs: where given, exactly so many epochs instead.
            early_stopping: sets the share `validation_fraction` of the samples aside (of each class
                alike), ends either form once the loss of these has not fallen by `tol` in
                `n_iter_no_change` epochs, and takes back the weights of the best epoch.
            n_iter_no_change: None means never to end early.
            shuffle: a new order of the samples in each epoch.
            random_state: an int, a RandomState or None, for first weights, orders and dropout;
                neurona's own generator is left as it was.
            verbose: 0, 1 (a moving line) or 2 (a line per epoch).
        """
        self.module = module
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.criterion = criterion
        self.optimizer = optimizer
        self.learning_rate_init = learning_rate_init
        self.lr = lr
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.max_epochs = max_epochs
        self.shuffle = shuffle
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    # ---- scikit-learn's contract ----

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, `module__...` and the like among them."""
        extra = {name: value for name, value in vars(self).items() if is_nested(name)}
        return {**super().get_params(deep), **extra}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters by name; ValueError for an unknown one."""
        plain = {name: value for name, value in params.items() if not is_nested(name)}
        super().set_params(**plain)
        for name in params.keys() - plain.keys():
            setattr(self, name, params[name])
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Weights and the optimizer's buffers as the bytes of a safetensors file."""
        state = dict(super().__getstate__())
        if "module_" in state:
            module, optimizer = state.pop("module_"), state.pop("optimizer_")
            state["_safetensors"] = dump_checkpoint(
                module.state_dict(), {"optimizer": optimizer.state_dict()}
            )
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        plain = dict(state)
        data = plain.pop("_safetensors", None)
        super().__setstate__(plain)
        if data is not None:
            weights, saved, _ = parse_checkpoint(data)
            assert saved is not None  # written by __getstate__
            with random_stream((0, 0)):  # the first weights are overwritten at once
                self.module_, self.optimizer_ = self._recipe.make(type(self).__name__)
            self.module_.load_state_dict(weights)
            self.optimizer_.load_state_dict(saved["optimizer"])

    # ---- training ----

    def _check_training(self, X: Any, y: Any, *, reset: bool, **options: Any) -> Any:
        """Parameters and data, before any work."""
        check_params(self)
        return self._validate(X, y=y, reset=reset, **options)

    def _check_partial(self, X: Any, y: Any, first: bool, **options: Any) -> Any:
        if self.early_stopping:
            raise ValueError(
                f"{type(self).__name__}: early_stopping must be False for partial_fit, got True"
            )
        return self._check_training(X, y, reset=first, **options)

    def _validate(self, X: Any, **options: Any) -> Any:
        """X as float32, with y where it is among the options; scikit-learn's errors."""
        allow_nd = self.module is not None
        return validate_data(self, X, dtype=np.float32, order="C", allow_nd=allow_nd, **options)

    def _weigh(
        self, X: np.ndarray, y: np.ndarray, sample_weight: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The samples of weight > 0 and their weights."""
        if sample_weight is None:
            return X, y, None
        op, weights = type(self).__name__, np.asarray(sample_weight, np.float64)
        if weights.shape != (len(X),):
            raise ValueError(
                f"{op}: sample_weight must have shape ({len(X)},), got {weights.shape}"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError(
                f"{op}: sample_weight must be finite, >= 0 and not zero for all samples"
            )
        kept = weights > 0  # so that a weight of 0 is a sample left out, to the bit
        return X[kept], y[kept], weights[kept]

    def _fit(self, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> None:
        """Trains from the beginning; y is encoded as the loss wants it."""
        X, y, weights = self._weigh(X, y, sample_weight)
        self._start(X, y, weights)
        epochs = self.max_iter if self.max_epochs is None else self.max_epochs
        stopper = make_stopper(self)
        validation: Any = None
        if self.early_stopping:
            kept, held = train_test_split(
                np.arange(len(X)),
                test_size=self.validation_fraction,
                random_state=self._rng_state[0],
                stratify=y if y.dtype.kind == "i" else None,
            )
            validation = (X[held], y[held])
            if weights is not None:
                validation = (*validation, weights[held] / weights[held].mean())
                weights = weights[kept]
            X, y = X[kept], y[kept]
        stopped = self._train(X, y, weights, epochs, stopper, validation)
        if stopper is not None and not stopped and self.max_epochs is None:
            warnings.warn(
                f"{type(self).__name__}: max_iter={epochs} epochs were not enough to converge",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _partial_fit(self, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> None:
        """One more epoch, on these samples."""
        X, y, weights = self._weigh(X, y, sample_weight)
        if not hasattr(self, "module_"):
            self._start(X, y, weights)
        self._train(X, y, weights, 1, None, None)

    def _start(self, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> None:
        """New parameters; the stream of random numbers begins at `random_state`."""
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        op, outputs = type(self).__name__, self._count_outputs(y)
        share = self._batch(len(X)) * (1.0 if weights is None else float(weights.mean()))
        recipe = make_recipe(self, X.shape[1], outputs, share)
        with random_stream((int(seed), 0)):
            self.module_, self.optimizer_ = recipe.make(op)
            self._rng_state = get_rng_state()
        self._recipe = recipe
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] = []
        found = self._outputs(X[:1]).shape[1:]
        if found != (outputs,):
            shape = ", ".join(["N", *map(str, found)])
            raise ValueError(
                f"{op}: module must give outputs of shape (N, {outputs}), got ({shape})"
            )

    def _train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        epochs: int,
        stopper: EarlyStopping | None,
        validation: Any,
    ) -> bool:
        """Trains on; whether `stopper` ended it. ValueError when the loss is no longer finite."""
        trainer = Trainer(
            self.module_, make_criterion(self, self._default_criterion), self.optimizer_
        )
        callbacks: list[Callback] = [TerminateOnNaN()]
        if stopper is not None:
            callbacks.append(stopper)
        with random_stream(self._rng_state):
            history = trainer.fit(
                X,
                y,
                self._batch(len(X)),
                epochs,
                int(self.verbose),
                callbacks,
                validation_data=validation,
                shuffle=self.shuffle,
                sample_weight=None if weights is None else weights / weights.mean(),
            )
            self._rng_state = get_rng_state()
        if history.diverged:
            raise ValueError(
                f"{type(self).__name__}: loss must stay finite, got nan or inf in epoch "
                f"{len(history.epoch)}; scale the inputs or lower the learning rate"
            )
        self.loss_curve_ += history.history["loss"]
        self.n_iter_ = len(self.loss_curve_)
        if validation is not None:
            self.validation_loss_curve_ = history.history["val_loss"]
        return trainer.stop_training

    def _batch(self, count: int) -> int:
        return min(_AUTO_BATCH if self.batch_size == "auto" else self.batch_size, count)

    def _count_outputs(self, y: np.ndarray) -> int:
        """How many numbers the module gives for a sample."""
        raise NotImplementedError(type(self).__name__)

    def _outputs(self, X: np.ndarray) -> np.ndarray:
        return Trainer(self.module_, optimizer=self.optimizer_).predict(X, self._batch(len(X)))

    def _predict(self, X: Any) -> np.ndarray:
        """The module's outputs for unchecked X."""
        check_is_fitted(self)
        return self._outputs(self._validate(X, reset=False))
