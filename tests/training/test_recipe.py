"""Recipes: what follows the batch size when they are scaled to another one."""

import pytest

from training.recipe import QUICK


@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 0.008), ("adam", 0.008), ("sgd", 0.032)])
def test_the_learning_rate_and_the_average_follow_the_batch_size(optimizer, rate):
    recipe = QUICK.changed(optimizer=optimizer, learning_rate=0.002, average=0.999, batch_size=64)
    scaled = recipe.scaled_to(1024)
    assert scaled == recipe.changed(batch_size=1024, learning_rate=rate, average=0.999**16)
    assert scaled.scaled_to(64).learning_rate == pytest.approx(0.002)
    assert scaled.scaled_to(64).average == pytest.approx(0.999)
    assert recipe.changed(average=0.0).scaled_to(1024).average == 0
