"""`python -m tests.photos.plausibility STORE`: fits the weights of `training.picture.plausibility` on photos.

Each photo has dozens of candidates. A candidate is right if the network of a version reads the photo's digit in it with
a probability above one half; in a picture of no digit none is. No family is used that is held out.

Choice: a softmax over the candidates of a photo gives the right ones the most probability together (conditional logit,
McFadden 1974). Clarity: logistic regression of whether the chosen candidate is right.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from rich.progress import track
from scipy.optimize import minimize

from training import mnist
from training.photos.families import FAMILIES
from training.photos.family import photos
from training.picture import NoInk, fitted, levels
from training.picture.cut_out import cut_out
from training.picture.find import candidates, reduced
from training.picture.levels import unenlarged
from training.picture.place import thickened
from training.picture.plausibility import FEATURES, terms
from training.predictor import Predictor
from training.store import Store

RIDGE = 1e-3
"""Weight of the sum of squared weights in both losses."""
UNCLEAR = 0.012
"""Share of the photos that are read right to be called unclear."""


class Candidates(NamedTuple):
    """Candidates of many photos."""

    features: np.ndarray
    """[n, features]"""
    right: np.ndarray
    """bool [n]"""
    photo: np.ndarray
    """[n]: the number of the photo, 0…photos - 1."""


class Fitted(NamedTuple):
    """Means and standard deviations of the features; weights of `terms` for choice and clarity; limit of clarity."""

    mean: np.ndarray
    spread: np.ndarray
    choice: np.ndarray
    clarity: np.ndarray
    limit: float
    """Above it a picture is clear."""


def collect(predictor: Predictor, count: int, seed: int) -> Candidates:
    """The candidates of `count` photos of each family of single digits and of no digit that is not held out."""
    digits = mnist.train()
    rows, right, numbers = [], [], []
    chosen = [family for family in FAMILIES.values() if family.kind != "digits" and not family.held_out]
    chosen = [family for family in chosen if family.name != "alike"]
    for number, family in enumerate(track(chosen, "photos")):
        for index, (image, text) in enumerate(photos(family, digits, count, seed)):
            grey = unenlarged(levels(image))
            small, factor = reduced(grey)
            for candidate in candidates(small, None):
                try:
                    picture = fitted(thickened(cut_out(grey, factor, candidate.view, candidate.group)))
                except NoInk:
                    continue
                rows.append(candidate.features)
                right.append(bool(text) and predictor(picture[None])[0, int(text)] > 0.5)
                numbers.append(number * count + index)
    _, photo = np.unique(numbers, return_inverse=True)
    return Candidates(np.array(rows), np.array(right), photo)


def fit(found: Candidates) -> Fitted:
    """Both sets of weights."""
    mean, spread = found.features.mean(axis=0), found.features.std(axis=0) + 1e-6
    x = terms((found.features - mean) / spread)
    solvable = np.bincount(found.photo, found.right) > 0
    used = solvable[found.photo]
    _, photo = np.unique(found.photo[used], return_inverse=True)
    choice = fit_choice(x[used], found.right[used], photo)
    order = np.argsort(x @ choice)
    chosen = np.zeros(len(solvable), np.intp)
    chosen[found.photo[order]] = order  # the last one, which has the highest score, stays
    right = found.right[chosen]
    clarity = fit_clarity(x[chosen], right)
    of_right = np.sort((np.c_[x[chosen], np.ones(len(chosen))] @ clarity)[right])
    return Fitted(mean, spread, choice, clarity, float(np.quantile(of_right, UNCLEAR)))


def fit_choice(x: np.ndarray, right: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Weights by terms [n, m], whether candidates are right [n], and the photos they are of [n]."""
    count = photo.max() + 1

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = x @ weights
        largest = np.full(count, -np.inf)
        np.maximum.at(largest, photo, scores)
        powers = np.exp(scores - largest[photo])
        of_all, of_right = np.bincount(photo, powers), np.bincount(photo, powers * right) + 1e-12
        slope = powers / of_all[photo] - powers * right / of_right[photo]
        value = np.log(of_all / of_right).mean() + RIDGE * weights @ weights
        return value, x.T @ slope / count + 2 * RIDGE * weights

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x


def fit_clarity(x: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Weights and, last, the constant of a logistic regression on terms [n, m]."""
    x, sign = np.c_[x, np.ones(len(x))], np.where(right, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = x @ weights
        value = np.logaddexp(0, -sign * logits).mean() + RIDGE * weights @ weights
        return value, x.T @ (-sign / (1 + np.exp(sign * logits))) / len(x) + 2 * RIDGE * weights

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x


def as_code(fitted_: Fitted) -> str:
    """The constants as they are in `training/picture/plausibility.py`."""
    columns = (fitted_.mean, fitted_.spread, *fitted_.choice.reshape(2, -1), *fitted_.clarity[:-1].reshape(2, -1))
    rows = [
        f'    "{name}": ({", ".join(f"{value:.3g}" for value in row)}),'
        for name, row in zip(FEATURES, zip(*columns, strict=True), strict=True)
    ]
    return "\n".join(["WEIGHTS: Final = {", *rows, "}", f"CLEAR: Final = {fitted_.limit - fitted_.clarity[-1]:.3f}"])


if __name__ == "__main__":
    store = Store(sys.argv[1])
    sys.stdout.write(as_code(fit(collect(Predictor.load(store, "lenet", row_sizes=(1,)), count=60, seed=1))) + "\n")
