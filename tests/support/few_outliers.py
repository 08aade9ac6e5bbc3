"""Heads that learn a few pictures: drawing and learning as many as outside of tests takes ten seconds a version.

`python -m tests.support.few_outliers fit …` is `python -m training fit …` with such a head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def learn_few(replace: Callable[[object, str, object], None] = setattr) -> None:
    """Makes this process draw and learn few pictures."""
    from training.exposure import pool
    from training.fitting import outlier_exposure

    replace(pool, "DRAWN", 80)
    replace(outlier_exposure, "DIGITS", 2000)
    replace(outlier_exposure, "SPOILED", 250)
    replace(outlier_exposure, "VIEWS", 1)
    replace(outlier_exposure, "PASSES", 4)


if __name__ == "__main__":
    from training.__main__ import main

    learn_few()
    main("python -m training")
