"""A scikit-learn classifier with the networks of this package, for pictures of digits and for tables of numbers."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import jax
import msgspec
import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from training.data.digits import DataError
from training.data.replacing import replacing
from training.data.split import split
from training.errors import did_you_mean
from training.fitting.loop import EVALUATION_ROWS, Epoch, State, before_first_epoch, compile_logits, fit
from training.images import CLASSES, PIXELS, forgotten_scale, quantise
from training.network.convolution import training_form
from training.network.layers import INPUT, Dense, Inner, Input, LayerError, Layers, shapes
from training.network.models import MODELS
from training.network.module import abstract_params
from training.recipe import Distortion, Recipe
from training.wrong_value import wrong_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from training.network.module import Params

DEFAULT = Recipe()
SAVED = "estimator.json"
NOT_AS_SAVED = (
    *(KeyError, TypeError, ValueError, EOFError),
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, msgspec.MsgspecError),
)
"""Exceptions of reading a damaged file, or one that `save` did not write; zipfile checks the CRC of what it reads."""


class NeuralNetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A neural network with scikit-learn's interface, trained by the loop that trains the published versions.

    With a `scale`, a row of X is a picture of 784 pixels, row by row, 0 for background and `scale` for full ink (255
    for MNIST as it is, 1 for pixels in 0…1); it is prepared as everywhere else in this package, and for ten classes the
    network is the one that `python -m training fit` trains. Without a `scale`, a row is any numbers, taken as they
    are: a StandardScaler before this in a Pipeline helps, and so do more epochs than pictures need, since a small table
    has few batches.

    Parameters, besides the fields of a Recipe (all but `teacher`), which mean the same as there:

    layers: a list of layers (`[Dense(50, activation="relu"), Dense(3)]`, or as dicts, the way a file lists them) whose
        last gives one logit a class; or the name of a model, which gets as many logits as there are classes; None is
        `mlp`. One whose first layers are convolutions needs pictures.
    scale: see above.
    validation_fraction: the share of the rows given to `fit` that is held out, each class in its share, to measure the
        error after each epoch; 0 holds out none. It is the same rows whatever `random_state` is.
    random_state: a whole number is the recipe's seed; the same one gives the same bits. None draws a seed.
    callbacks: functions called after each epoch with this estimator, which can predict by then, and the epoch's row of
        `history_`. Training ends when one of them returns a true value.
    warm_start: `fit` goes on from the present weights, with a fresh optimizer, in place of drawing new ones.

    Once fitted: `classes_` [k], `n_features_in_`, `layers_` (what was built), `params_` (float32 arrays by layer and
    name; the running average if the recipe has one), `history_` (a dict for each epoch with the fields of an EpochRow;
    `validation_error` is None where nothing was held out).
    """

    def __init__(
        self,
        layers: str | Sequence[Inner | dict[str, Any]] | None = None,
        *,
        scale: float | None = None,
        epochs: int = DEFAULT.epochs,
        batch_size: int = DEFAULT.batch_size,
        optimizer: str = DEFAULT.optimizer,
        learning_rate: float = DEFAULT.learning_rate,
        schedule: str = DEFAULT.schedule,
        warmup_epochs: float = DEFAULT.warmup_epochs,
        weight_decay: float = DEFAULT.weight_decay,
        average: float = DEFAULT.average,
        distortion: Distortion | dict[str, float] | None = None,
        validation_fraction: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
        callbacks: Sequence[Callable[[NeuralNetClassifier, dict[str, Any]], object]] = (),
        warm_start: bool = False,
    ) -> None:
        self.layers = layers
        self.scale = scale
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.weight_decay = weight_decay
        self.average = average
        self.distortion = distortion
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.callbacks = callbacks
        self.warm_start = warm_start

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803 - scikit-learn's name
        """Trains on X [n, features] and labels y [n] of any kind.

        Raises ValueError (RecipeError, LayerError, PixelError and DataError are ones) for what cannot be trained on,
        and Diverged when the loss is no longer a number.
        """
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction is {self.validation_fraction}, want at least 0 and less than 1")
        again = self.warm_start and hasattr(self, "params_")
        images, labels = self._read_labelled(X, y, first=not again)
        if not again:
            self._build(images, unique_labels(labels))
        elif self._network(images, self.classes_) != self.layers_:
            raise ValueError("layers or scale is not what it was when the weights were drawn: want warm_start=False")
        rows = Rows(images, self._encode(labels))
        training, validation = rows, None
        if self.validation_fraction:
            held_out = max(1, round(self.validation_fraction * len(rows)))
            training, validation = split(rows, held_out)
        recipe = self._recipe()
        return self._train(training, validation, recipe, self._start(recipe))

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:  # noqa: N803
        """Trains for one epoch on X and y, from the weights at the end of the last call of this or `fit`.

        The first call must list all `classes` that will ever occur. The learning rate stays at its peak, and a running
        average of the weights is one over the steps of this call. Errors as of `fit`.
        """
        first = not hasattr(self, "params_")
        if first and classes is None:
            raise ValueError("classes is None in the first call of partial_fit, want all labels there will be")
        images, labels = self._read_labelled(X, y, first=first)
        if first:
            self._build(images, unique_labels(classes))
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(f"classes is {classes}, want what it was at first: {self.classes_}")
        recipe = self._recipe(epochs=1, schedule="constant", warmup_epochs=0.0)
        state = self._start(recipe)
        if self._state and jax.tree.map(_kind, self._state.optimizer) == jax.tree.map(_kind, state.optimizer):
            state = self._state  # with the momentum; without it after `load`, or when the optimizer has been changed
        return self._train(Rows(images, self._encode(labels)), None, recipe, state)

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """The likeliest class [n] of each row of X [n, features]."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Probabilities [n, k], in the order of `classes_`, of the rows of X [n, features]."""
        check_is_fitted(self, "params_")
        images = self._images(validate_data(self, X, reset=False, dtype=self._dtype))
        # Every row is computed in a batch of one size, so that its answer does not depend on its neighbours.
        missing = -len(images) % EVALUATION_ROWS
        padded = np.pad(images, [(0, missing), *[(0, 0)] * (images.ndim - 1)])
        rows = Rows(padded, np.zeros(len(padded), np.int32))
        logits = compile_logits(self.layers_)(self.params_, rows)[: len(images)]
        return softmax(logits.astype(np.float64), axis=1)

    def save(self, path: str | Path) -> None:
        """Writes the fitted estimator, without its callbacks and the state of its optimizer, into one .npz file.

        Nothing in it is pickled. Raises DataError when it cannot be written.
        """
        check_is_fitted(self, "params_")
        parameters = {name: value for name, value in self.get_params(deep=False).items() if name != "callbacks"}
        if isinstance(self.random_state, np.random.RandomState):
            parameters["random_state"] = None
        names = getattr(self, "feature_names_in_", None)
        saved = _Saved(
            parameters=parameters,
            layers=self.layers_,
            classes=self.classes_.tolist(),
            classes_dtype=self.classes_.dtype.str,
            n_features_in=self.n_features_in_,
            feature_names_in=None if names is None else list(names),
            history=self.history_,
        )
        content = msgspec.json.encode(saved, enc_hook=_plain)
        arrays: dict[str, Any] = {SAVED: np.frombuffer(content, np.uint8)}
        for layer, leaves in self.params_.items():
            arrays |= {f"{layer}/{name}": leaf for name, leaf in leaves.items()}
        with replacing(Path(path)) as aside, aside.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator that `save` wrote. Raises DataError naming the file when it is not one, or damaged."""
        content = Path(path).read_bytes()
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = dict(archive)
            saved = msgspec.json.decode(arrays.pop(SAVED).tobytes(), type=_Saved)
            estimator = cls(**saved.parameters)
            params: Params = {}
            for key, array in arrays.items():
                layer, name = key.split("/")
                params.setdefault(layer, {})[name] = array
            wanted = abstract_params(saved.layers, training_form())
            if jax.tree.map(_kind, params) != jax.tree.map(_kind, wanted):
                raise ValueError("its weights do not fit its layers")
            classes = np.array(saved.classes, saved.classes_dtype)
        except NOT_AS_SAVED as error:
            raise DataError(f"{path}: not a saved estimator, or a damaged one: {error}") from error
        estimator.layers_, estimator.params_, estimator._state = saved.layers, params, None
        estimator.classes_, estimator.history_ = classes, saved.history
        estimator.n_features_in_ = saved.n_features_in
        if saved.feature_names_in is not None:
            estimator.feature_names_in_ = np.array(saved.feature_names_in, object)
        return estimator

    def _recipe(self, **instead: object) -> Recipe:
        parameters = self.get_params(deep=False)
        values = {name: _plain(parameters[name]) for name in Recipe.__struct_fields__ if name in parameters}
        values["distortion"] = self.distortion or Distortion()
        seed = self.random_state
        if seed is None or isinstance(seed, np.random.RandomState):
            seed = check_random_state(seed).randint(2**31)
        recipe = Recipe.of(**{**values, "seed": _plain(seed), **instead})
        if self.scale is None and recipe.distortion != Distortion():
            raise ValueError("distortion is for pictures: want a scale, the number that means full ink in X")
        return recipe

    @property
    def _dtype(self) -> Any:
        return np.float32 if self.scale is None else "numeric"

    def _read_labelled(self, X: ArrayLike, y: ArrayLike, *, first: bool) -> tuple[NDArray[Any], NDArray[Any]]:  # noqa: N803
        rows, labels = validate_data(self, X, y, reset=first, dtype=self._dtype)
        check_classification_targets(labels)
        if self.scale is not None and forgotten_scale(rows, _plain(self.scale)):
            raise ValueError(f"X has no number above 1, want 0 to {self.scale:g}; for pixels from 0 to 1 say scale=1")
        return self._images(rows), labels

    def _images(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The input of the network for rows [n, features]: the rows as float32, or pictures uint8 [n, 28, 28]."""
        if self.scale is None:
            return rows
        if rows.shape[1] != PIXELS:
            raise ValueError(f"X has {rows.shape[1]} features, want {PIXELS}: with a scale, rows are pictures")
        return quantise(rows, _plain(self.scale))

    def _network(self, images: NDArray[Any], classes: NDArray[Any]) -> Layers:
        axes = INPUT if self.scale is not None else images.shape[1:]
        return _network(self.layers, axes, len(classes))

    def _build(self, images: NDArray[Any], classes: NDArray[Any]) -> None:
        self.__dict__.pop("params_", None)  # should training fail, the old weights must not answer for the new layers
        self.layers_ = self._network(images, classes)
        self.classes_ = classes
        self.history_: list[dict[str, Any]] = []
        self._state: State | None = None

    def _start(self, recipe: Recipe) -> State:
        """A fresh state, with the present weights if there are some."""
        state = before_first_epoch(self.layers_, recipe).state
        return state._replace(params=self.params_, average=self.params_) if hasattr(self, "params_") else state

    def _encode(self, labels: NDArray[Any]) -> NDArray[np.int32]:
        """The places of labels [n] in `classes_`."""
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"y has the label {unknown[0]!r}, want one of {self.classes_.tolist()}")
        return np.searchsorted(self.classes_, labels).astype(np.int32)

    def _train(self, training: Rows, validation: Rows | None, recipe: Recipe, state: State) -> Self:
        recipe = msgspec.structs.replace(recipe, batch_size=min(recipe.batch_size, len(training)))
        measured = training.take([0]) if validation is None else validation  # the loop always measures something
        for epoch in fit(self.layers_, recipe, training, measured, Epoch(state, ()), _unwatched):
            self._state = epoch.state
            self.params_ = self._state.average
            row = msgspec.structs.asdict(epoch.history[-1]) | {"epoch": len(self.history_) + 1}
            if validation is None:
                row["validation_error"] = None
            self.history_.append(row)
            if any([callback(self, row) for callback in self.callbacks]):  # noqa: C419 - each of them is called
                break
        return self


@dataclass(frozen=True, eq=False)
class Rows:
    """Examples for the training loop: as Digits, for any classes, and for tables as well as pictures."""

    images: NDArray[Any]
    """uint8 [n, 28, 28] or float32 [n, features]."""
    labels: NDArray[np.int32]
    """Places in `classes_`, [n]."""

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: ArrayLike) -> Self:
        """The rows at `indices` (integers [m], or a mask bool [n])."""
        return type(self)(self.images[np.asarray(indices)], self.labels[np.asarray(indices)])


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of the file but the weights."""

    parameters: dict[str, Any]
    layers: Layers
    classes: list[bool | int | float | str]
    classes_dtype: str
    n_features_in: int
    feature_names_in: list[str] | None
    history: list[dict[str, Any]]


def _network(wanted: Any, axes: tuple[int, ...], classes: int) -> Layers:
    """The layers that a user named or listed, for inputs [n, *axes]. Raises LayerError if they do not fit."""
    wanted = "mlp" if wanted is None else wanted
    if isinstance(wanted, str):
        if wanted not in MODELS:
            known = f"{', '.join(MODELS)}, or a list of layers{did_you_mean(wanted, MODELS)}"
            raise LayerError(f"no network is named {wanted!r}: want one of {known}")
        *body, last = MODELS[wanted]
        wanted = [*body, msgspec.structs.replace(cast("Dense", last), features=classes)]
    try:
        layers: Layers = msgspec.convert(wanted, tuple[Inner, ...])
    except msgspec.ValidationError as error:
        raise LayerError(f"layers is not a list of layers: {wrong_value(error, wanted, tuple[Inner, ...])}") from None
    if (axes, classes) != (INPUT, CLASSES):
        layers = (Input(axes, classes), *layers)
    shapes(layers)
    return layers


def _plain(value: Any) -> Any:
    """A Python number for a NumPy scalar, such as those in a grid of parameters; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _kind(leaf: Any) -> tuple[tuple[int, ...], str]:
    return tuple(leaf.shape), str(leaf.dtype)


def _unwatched(**_: object) -> None:
    """A `Watch` that does nothing."""
