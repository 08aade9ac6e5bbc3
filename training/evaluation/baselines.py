"""Baselines: logistic regression and a random forest of scikit-learn, on the same pixels as the networks.

Hyperparameters were chosen on the validation split (5,000 of the 60,000 training digits). Validation errors in percent,
with 95 % intervals of ± 0.8 (regression) and ± 0.5 (forest), so that neighbours do not differ significantly:

    logistic regression on pixels / 255, lbfgs until it converges: C 0.01 8.5, 0.03 8.0, 0.1 8.1, 0.3 7.9, 1 8.0;
        stopped after 100 steps: C 0.3 7.9, 1 7.7, 10 8.0; after 50: 0.3 8.2, 1 8.3, 10 8.1
    forest of 300 trees, pixels considered in a split: 20 3.0, 28 3.0, 40 2.9, 60 2.9, 40 by entropy 3.1;
        28, and every tree grown on all digits in place of a bootstrap sample 2.7

So the regression runs until it converges, and the trees are grown on all digits; 500 of them: 2.7, too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from training.data.digits import DataError
from training.evaluation.scores import predict, score
from training.images import CLASSES, FULL_INK, PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.images import Images
    from training.store.card import Metrics

LOGISTIC_REGRESSION: dict[str, Any] = {"C": 0.3, "max_iter": 1000}
RANDOM_FOREST: dict[str, Any] = {"n_estimators": 500, "bootstrap": False, "n_jobs": -1}
CHOSEN = {"logistic_regression": LOGISTIC_REGRESSION, "random_forest": RANDOM_FOREST}


@dataclass(frozen=True, eq=False)
class Baseline:
    """A fitted model of scikit-learn, callable like a Predictor, so `evaluation.scores.predict` takes it, too."""

    name: str
    parameters: dict[str, Any]
    """The chosen hyperparameters; all others have scikit-learn's defaults."""
    seed: int
    classifier: Any
    """A pipeline from rows uint8 [n, 784]."""
    fit_seconds: float
    validation: Metrics

    def __call__(self, images: Images) -> NDArray[np.float32]:
        """Probabilities float32 [n, 10] for images uint8 [n, 28, 28]."""
        return _probabilities(self.classifier, images)

    @property
    def weights(self) -> int | None:
        """Number of trainable weights; None for a forest, which has none."""
        last = self.classifier[-1]
        return last.coef_.size + last.intercept_.size if isinstance(last, LogisticRegression) else None


def fit_baselines(
    training: Digits,
    validation: Digits,
    *,
    seed: int = 0,
    chosen: Mapping[str, Mapping[str, Any]] = CHOSEN,
    watch: Callable[[str], object] = lambda _: None,
) -> Iterator[Baseline]:
    """Fits each model and scores it on the validation digits; `watch` is called with its name before.

    Raises DataError where the training digits lack a class, because then there are not ten probabilities.
    """
    if missing := set(range(CLASSES)) - set(training.labels.tolist()):
        raise DataError(f"the training digits have no {min(missing)}, want each digit from 0 to {CLASSES - 1}")
    for name, parameters in chosen.items():
        watch(name)
        classifier = _classifier(name, parameters, seed)
        began = time.perf_counter()
        classifier.fit(_rows(training.images), training.labels)
        seconds = time.perf_counter() - began
        metrics = score(predict(partial(_probabilities, classifier), validation), validation.labels)
        yield Baseline(name, dict(parameters), seed, classifier, seconds, metrics)


def _classifier(name: str, parameters: Mapping[str, Any], seed: int) -> Any:
    if name == "logistic_regression":
        return make_pipeline(FunctionTransformer(_ink), LogisticRegression(**parameters, random_state=seed))
    return make_pipeline(RandomForestClassifier(**parameters, random_state=seed))


def _ink(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Rows float32 [n, 784] in [0, 1], the scale that C was chosen for."""
    return rows.astype(np.float32) / np.float32(FULL_INK)


def _rows(images: Images) -> Images:
    return images.reshape(-1, PIXELS)


def _probabilities(classifier: Any, images: Images) -> NDArray[np.float32]:
    return classifier.predict_proba(_rows(images)).astype(np.float32)
