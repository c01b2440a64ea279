"""Recorded draws are torch's own to the bit, without its checks."""

import pytest
import torch

from unbraid.inference.recording import record  # pyright: ignore[reportMissingImports]


@pytest.mark.parametrize("size", [3, 40, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_are_those_of_torch(size, dtype):
    """Sizes below and above those from which a CPU draws by vectors."""
    loc, scale = torch.randn(size, dtype=dtype), torch.rand(size, dtype=dtype)
    generator = torch.Generator()

    def draw(parameters, inputs):
        normal = torch.distributions.Normal(*inputs, validate_args=False)
        own = torch.normal(*inputs, generator=generator)
        return [normal.sample(), normal.sample((4,)), torch.normal(2.0, inputs[1]), own]

    recorded = record(draw, [], [loc, scale])
    assert not [n for n in recorded.graph.nodes if "normal" in str(n.target)]
    found = []
    for run in (draw, recorded):
        torch.manual_seed(1)
        generator.manual_seed(2)
        found.append(run([], [loc, scale]))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert len(found[0]) == 4
