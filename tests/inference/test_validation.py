"""The noise of the bound on held-out data; its value is tested with `fit`."""

from math import nan

from unbraid.inference import validation_bound
from unbraid.inference.trainer import Progress  # pyright: ignore[reportMissingImports]

from .pairs import make_pair


def test_every_batch_has_noise_of_its_own():
    """With the same noise, the mean over a batch and its like would be that of the batch."""
    pair = make_pair("plain")
    batch = {"x": pair.args[0]}
    once = validation_bound(pair.model, pair.guide, [batch])
    assert validation_bound(pair.model, pair.guide, [batch, batch]) != once


def test_a_bound_that_is_not_a_number_is_never_the_best():
    progress = Progress()
    noted = [progress.note(bound, step) for step, bound in enumerate((nan, -9.0, nan, -8.0))]
    assert noted == [False, True, False, True]
    assert (progress.best_bound, progress.best_step, progress.without_gain) == (-8.0, 3, 0)
