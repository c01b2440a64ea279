"""SVI against `pyro.infer.SVI`: the same trajectories, with Pyro's interface."""

import pyro
import pytest
import torch
from pyro.infer import SVI as StockSVI
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO
from pyro.optim import Adam as PyroAdam  # pyright: ignore[reportAttributeAccessIssue]
from torch import nn

from unbraid.inference import SVI, Objective, PairError

from .pairs import B, make_pair


def registered(program, name):
    def run(*args):
        pyro.module(name, program)
        return program(*args)

    return run


def pyros_trajectory(pair, elbo, steps):
    """Losses of stock SVI, which keeps parameters in its store, and moves the pair in place."""
    svi = StockSVI(
        registered(pair.model, "model"),
        registered(pair.guide, "guide"),
        PyroAdam({"lr": 1e-2}),
        elbo,
    )
    losses = []
    for i in range(steps):
        torch.manual_seed(50 + i)
        losses.append(svi.step(*pair.args))
    pyro.clear_param_store()
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("mode", ["eager", "record"])
@pytest.mark.parametrize(
    ("name", "kind", "analytic"),
    [
        ("plain", TraceMeanField_ELBO, True),
        ("structured", TraceMeanField_ELBO, True),
        ("structured", Trace_ELBO, False),
        ("frames", Trace_ELBO, False),
        ("guide-label", TraceEnum_ELBO, False),
        ("mixture", TraceEnum_ELBO, False),
    ],
)
def test_trajectories_are_pyros(name, kind, analytic, mode):
    theirs, ours = make_pair(name), make_pair(name)
    expected = pyros_trajectory(theirs, kind(max_plate_nesting=theirs.nesting), 15)
    svi = SVI(
        ours.model,
        ours.guide,
        lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
        Objective(analytic_kl=analytic),
        mode=mode,
    )
    losses = []
    for i in range(15):
        torch.manual_seed(50 + i)
        losses.append(svi.step(*ours.args))
    torch.testing.assert_close(torch.stack(losses), expected, rtol=1e-10, atol=1e-10)
    for mine, reference in zip(ours.parameters, theirs.parameters, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-10)


def test_evaluate_loss_is_the_next_steps_loss():
    pair = make_pair("plain")
    svi = SVI(pair.model, pair.guide, lambda p: torch.optim.SGD(p, lr=1e-3))
    before = [p.detach().clone() for p in pair.parameters]
    torch.manual_seed(1)
    evaluated = svi.evaluate_loss(*pair.args)
    assert isinstance(evaluated, float)
    assert all(torch.equal(p, b) for p, b in zip(pair.parameters, before, strict=True))
    torch.manual_seed(1)
    loss = svi.step(*pair.args)
    assert loss.shape == () and not loss.requires_grad
    assert float(loss) == pytest.approx(evaluated, rel=1e-12)
    torch.manual_seed(1)
    assert svi.evaluate_loss(*pair.args) < evaluated


def test_gradients_are_batch_sums_and_ragged_batches_do_not_mix():
    """SGD at rate 1 moves by the summed gradient, also after a batch of another size."""
    pair = make_pair("plain")
    svi = SVI(pair.model, pair.guide, lambda p: torch.optim.SGD(p, lr=1e-4))
    for size in (B, B - 2, B):
        args = (pair.args[0][:size],)
        torch.manual_seed(2)
        loss = Objective().differentiable_loss(pair.model, pair.guide, *args)
        gradients = torch.autograd.grad(loss, pair.parameters)
        before = [p.detach().clone() for p in pair.parameters]
        torch.manual_seed(2)
        step = svi.step(*args)
        torch.testing.assert_close(step, loss.detach(), rtol=1e-12, atol=1e-12)
        for p, b, g in zip(pair.parameters, before, gradients, strict=True):
            torch.testing.assert_close(p.detach(), b - 1e-4 * g, rtol=1e-12, atol=1e-12)


def test_an_optimiser_or_none_may_be_given():
    pair = make_pair("plain")
    optimizer = torch.optim.SGD(pair.guide.parameters(), lr=1e-3)
    frozen = [p.detach().clone() for p in pair.model.parameters()]
    svi = SVI(pair.model, pair.guide, optimizer)
    svi.step(*pair.args)
    assert svi.optim is optimizer
    assert all(torch.equal(p, f) for p, f in zip(pair.model.parameters(), frozen, strict=True))
    default = SVI(pair.model, pair.guide)
    default.step(*pair.args)
    assert isinstance(default.optim, torch.optim.Adam)
    assert default.optim.param_groups[0]["lr"] == 1e-3


def test_a_second_training_in_the_process_trains():
    """Stock SVI's parameter store outlives a run; here there is none."""
    for _ in range(2):
        pair = make_pair("plain")
        before = [p.detach().clone() for p in pair.parameters]
        SVI(pair.model, pair.guide).step(*pair.args)
        for parameter, kept in zip(pair.parameters, before, strict=True):
            assert not torch.equal(parameter, kept)


def test_pairs_are_checked_at_the_first_step():
    pair = make_pair("plain")
    with pytest.raises(PairError, match="latent site 'z' is in the model but not in the guide"):
        SVI(pair.model, make_pair("structured").guide).step(*pair.args)

    class Fixed(nn.Module):
        def __init__(self, program):
            super().__init__()
            self.program = program.requires_grad_(False)

        def forward(self, x):
            return self.program(x)

    with pytest.raises(PairError, match="no trainable parameters"):
        SVI(Fixed(pair.model), Fixed(pair.guide)).step(*pair.args)
