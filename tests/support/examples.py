"""How many examples Hypothesis tries."""

from hypothesis import settings


def examples(count: int) -> int:
    """So many in `make test-all`; in `make test` a quarter of them, though no fewer than ten.

    The profile `quick` of conftest.py has 25 examples in place of Hypothesis' own 100.
    """
    return max(min(count, 10), count * settings.default.max_examples // 100)
