"""The VAE's guide: its one site."""

from typing import Any

import torch
from pyro import poutine

from unbraid import guides
from unbraid.nets import ConvEncoder


def test_the_site_is_the_encoders_posterior():
    encoder = ConvEncoder((3, 9, 14), 5, channels=(6, 7), hidden=12)
    x = torch.rand(7, 3, 9, 14)
    trace = poutine.trace(guides.VAE(encoder)).get_trace(x)
    assert [name for name in trace.stochastic_nodes if name != "data"] == ["z"]
    site: Any = trace.nodes["z"]
    (frame,) = site["cond_indep_stack"]
    assert (frame.name, frame.dim, frame.size) == ("data", -1, 7)
    assert (site["fn"].batch_shape, site["fn"].event_shape) == ((7,), (5,))
    torch.testing.assert_close(site["fn"].mean, encoder(x).mean)
    torch.testing.assert_close(site["fn"].stddev, encoder(x).stddev)


def test_it_returns_fresh_reparameterised_codes():
    encoder = ConvEncoder((3, 9, 14), 5, channels=(6, 7), hidden=12)
    guide, x = guides.VAE(encoder), torch.rand(7, 3, 9, 14)
    z = guide(x)
    assert z.shape == (7, 5)
    assert z.requires_grad
    assert not torch.equal(z, guide(x))


def test_its_parameters_are_the_encoders():
    encoder = ConvEncoder((3, 9, 14), 5, channels=(6, 7), hidden=12)
    ours = [id(parameter) for parameter in guides.VAE(encoder).parameters()]
    assert ours == [id(parameter) for parameter in encoder.parameters()]
