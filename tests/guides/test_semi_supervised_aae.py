"""The semi-supervised adversarial autoencoder's guide: its two sites."""

from typing import Any

import torch
from pyro import poutine

from unbraid import guides
from unbraid.nets import LabelEncoder


def test_its_sites_are_points_of_shares_and_the_encoders_codes():
    encoder = LabelEncoder((3, 9, 14), 4, 5, (12,))
    x = torch.rand(7, 3, 9, 14)
    trace = poutine.trace(guides.SemiSupervisedAAE(encoder)).get_trace(x)
    assert [name for name in trace.stochastic_nodes if name != "data"] == ["label", "z"]
    for name, size in (("label", 4), ("z", 5)):
        site: Any = trace.nodes[name]
        (frame,) = site["cond_indep_stack"]
        assert (frame.name, frame.dim, frame.size) == ("data", -1, 7)
        assert (site["fn"].batch_shape, site["fn"].event_shape) == ((7,), (size,))
    label: Any = trace.nodes["label"]
    assert torch.equal(label["value"], encoder(x)[0].softmax(-1))
