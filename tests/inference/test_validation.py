"""The noise of the bound on held-out data; its value is tested with `fit`."""

from unbraid.inference import validation_bound

from .pairs import make_pair


def test_every_batch_has_noise_of_its_own():
    """With the same noise, the mean over a batch and its like would be that of the batch."""
    pair = make_pair("plain")
    batch = {"x": pair.args[0]}
    once = validation_bound(pair.model, pair.guide, [batch])
    assert validation_bound(pair.model, pair.guide, [batch, batch]) != once
