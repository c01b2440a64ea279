"""The classifier's guide: its one site, and what it hands on."""

from typing import Any

import torch
from pyro import poutine

from unbraid import guides
from unbraid.nets import DomainEncoders, PointEncoder

SHAPE, K = (1, 8, 9), 5


def test_the_site_is_the_encoders_and_sees_no_label():
    encoder = PointEncoder(SHAPE, K, (6,), (3, 4))
    guide, x = guides.Classifier(encoder), torch.rand(7, *SHAPE)
    trace = poutine.trace(guide).get_trace(x, torch.arange(7))
    assert [name for name in trace.stochastic_nodes if name != "data"] == ["z"]
    site: Any = trace.nodes["z"]
    (frame,) = site["cond_indep_stack"]
    assert (frame.name, frame.dim, frame.size) == ("data", -1, 7)
    assert torch.equal(site["value"], encoder(x).v)
    assert torch.equal(guide(x, -torch.ones(7).long()), site["value"])


def test_conditions_reach_the_encoder():
    both = DomainEncoders(PointEncoder(SHAPE, K, (6,)), PointEncoder(SHAPE, K, (6,)), 1)
    x, domain = torch.rand(4, *SHAPE), torch.tensor([[3, 0], [3, 1], [3, 1], [3, 0]])
    z = guides.Classifier(both)(x, None, domain)
    for row, chosen in enumerate([both.source, both.target, both.target, both.source]):
        torch.testing.assert_close(z[row], chosen(x[row]).v)
