"""The discriminative term of the FHVAE against a plain loop, and as a part of the loss."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from unbraid.inference import (
    LinearWarmup,
    Objective,
    SequenceDiscrimination,
    Step,
    gradients,
)

B, N, S, F = 4, 3, 7, 2
VARIANCE, WEIGHT = 0.3, 2.5
INDEX = torch.tensor([5, 0, 6, 2])
LENGTHS = torch.tensor([3, 1, 2, 3])


class Model(nn.Module):
    """Frames that are their codes and noise."""

    def forward(self, x: Tensor, mask: Any = True) -> Any:
        with (
            pyro.plate("data", B, dim=-2),
            pyro.plate("frames", N, dim=-1),
            poutine.mask(mask=mask),
        ):
            z = pyro.sample("content", dist.Normal(x.new_zeros(F), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    """Codes with given means, and a table."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.loc = nn.Parameter(torch.randn(B, N, F, dtype=dtype))
        self.table = nn.Parameter(torch.randn(S, F, dtype=dtype))

    def forward(self, x: Tensor, mask: Any = True) -> Any:
        with (
            pyro.plate("data", B, dim=-2),
            pyro.plate("frames", N, dim=-1),
            poutine.mask(mask=mask),
        ):
            pyro.sample("content", dist.Normal(self.loc, 0.4).to_event(1))


def batch(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    return {"x": torch.randn(B, N, F, dtype=dtype), "index": INDEX}


def hook_of(guide: Guide, weight: Any = WEIGHT) -> SequenceDiscrimination:
    return SequenceDiscrimination("content", lambda: guide.table, VARIANCE, weight)


def by_loops(guide: Guide, lengths: list[int]) -> float:
    """Sum over true frames of -log softmax, mean over sequences."""
    total = 0.0
    for row, length in enumerate(lengths):
        for t in range(length):
            loc = guide.loc[row, t].detach()
            densities = []
            for j in range(S):
                square = float((loc - guide.table[j].detach()).square().sum())
                densities.append(math.exp(-square / (2 * VARIANCE)))
            total -= math.log(densities[int(INDEX[row])] / sum(densities))
    return total / len(lengths)


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("ragged", [False, True])
def test_it_is_that_of_a_plain_loop(particles, ragged):
    guide, given = Guide(), batch()
    mask = torch.arange(N) < LENGTHS.unsqueeze(1) if ragged else True
    terms = Objective(particles=particles).terms(Model(), guide, (given["x"], mask))
    found = hook_of(guide).penalty(terms, given)
    lengths = LENGTHS.tolist() if ragged else [N] * B
    assert float(found.detach()) == pytest.approx(WEIGHT * by_loops(guide, lengths), rel=1e-12)


def test_far_tables_neither_overflow_nor_lose_the_answer():
    """Squared distances beyond float32's exponentials; a frame's own row is nearest by far."""
    guide, given = Guide(torch.float32), batch(torch.float32)
    with torch.no_grad():
        guide.table.copy_(100 * torch.arange(S).float().unsqueeze(1).expand(S, F))
        guide.loc.copy_(guide.table[INDEX].unsqueeze(1) + 40.0)
    terms = Objective().terms(Model(), guide, (given["x"],))
    penalty = hook_of(guide).penalty(terms, given)
    assert float(penalty.detach()) == pytest.approx(0.0, abs=1e-3)
    wrong = hook_of(guide).penalty(terms, {"index": (INDEX + 1) % S})
    assert torch.isfinite(wrong)
    assert float(wrong.detach()) > 1e4


def loss_of(hooks: Any, guide: Guide) -> Any:
    torch.manual_seed(9)
    given = batch()
    return Objective(hooks=hooks).mean_loss(Model(), guide, (given["x"],), given)


def test_it_joins_the_loss_and_not_the_bound():
    guide = Guide()
    plain, loss = loss_of([], guide), loss_of([hook_of(guide)], guide)
    expected = WEIGHT * by_loops(guide, [N] * B)
    assert float(loss.parts["SequenceDiscrimination"]) == pytest.approx(expected, rel=1e-12)
    assert float((loss.total - plain.total).detach()) == pytest.approx(expected, rel=1e-9)
    assert torch.equal(loss.parts["elbo"], plain.parts["elbo"])


def test_gradients_are_those_of_all_distances():
    guide, given = Guide(), batch()

    def penalty(loc: Tensor, table: Tensor) -> Tensor:
        terms: Any = Objective().terms(Model(), guide, (given["x"],))
        distances = (terms["content"].q.mean.unsqueeze(-2) - table).square().sum(-1)
        log_p = (-distances / (2 * VARIANCE)).log_softmax(-1)
        rows = torch.arange(B).unsqueeze(1)
        return -WEIGHT * log_p[rows, torch.arange(N), INDEX.unsqueeze(1)].sum() / B

    expected = torch.autograd.grad(penalty(guide.loc, guide.table), (guide.loc, guide.table))
    terms = Objective().terms(Model(), guide, (given["x"],))
    found = torch.autograd.grad(hook_of(guide).penalty(terms, given), (guide.loc, guide.table))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert (found[1] != 0).all()


def test_going_downhill_tells_sequences_apart():
    """Every frame is then of its own sequence, with a probability near one."""
    guide, given = Guide(), batch()
    hook, objective = hook_of(guide, 1.0), Objective()
    optimizer = torch.optim.Adam(guide.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        hook.penalty(objective.terms(Model(), guide, (given["x"],)), given).backward()
        optimizer.step()
    assert by_loops(guide, [N] * B) < 0.01


def test_the_weight_may_be_a_schedule():
    guide = Guide()
    hook = hook_of(guide, LinearWarmup(4, 0.0, WEIGHT))
    shares = []
    for _ in range(6):
        shares.append(float(loss_of([hook], guide).parts["SequenceDiscrimination"]))
        hook.advance()
    full = WEIGHT * by_loops(guide, [N] * B)
    assert shares == pytest.approx([full * min(k, 4) / 4 for k in range(6)], rel=1e-6)


def steps(mode: Any) -> list[Tensor]:
    guide = Guide(torch.float32)
    optimizer = torch.optim.Adam(guide.parameters(), lr=1e-2, fused=True)
    step = Step(Model(), guide, Objective(hooks=[hook_of(guide)]), optimizer, mode=mode)
    torch.manual_seed(4)
    batches = [{**batch(torch.float32), "index": torch.randperm(S)[:B]} for _ in range(5)]
    losses = []
    for i, given in enumerate(batches):
        torch.manual_seed(i)
        losses.append(step((given["x"],), given)["SequenceDiscrimination"].clone())
    assert step.mode == mode
    return [torch.stack(losses), *(p.detach() for p in guide.parameters())]


def test_recorded_steps_are_eager_steps_to_the_bit():
    """The index of every step counts, and the table of every step."""
    recorded = steps("record")
    assert all(torch.equal(a, b) for a, b in zip(recorded, steps("eager"), strict=True))
    assert len(recorded[0].unique()) == 5
    assert not torch.equal(recorded[2], Guide(torch.float32).table.detach())


def test_bfloat16_nets_leave_the_term_in_float32():
    guide = Guide()
    given, expected = batch(), WEIGHT * by_loops(guide, [N] * B)
    terms = Objective().terms(Model(), guide.float(), (given["x"].float(),))
    with torch.autocast("cpu", torch.bfloat16):
        found = hook_of(guide).penalty(terms, given)
    assert found.dtype == torch.float32
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)


def test_it_keeps_no_parameters_of_its_own():
    """The table is the guide's: it is in no hook's checkpoint, and moves once."""
    guide = Guide()
    hook = hook_of(guide)
    assert not list(hook.parameters())
    assert not hook.state_dict()
    loss = loss_of([hook], guide)
    found = gradients(loss, Model(), guide, list(guide.parameters()))
    assert all(gradient is not None for gradient in found)


def test_codes_of_data_without_frames():
    """A site in the plate of data alone is taken as one frame each."""
    loc = torch.randn(B, F, dtype=torch.float64)
    table = torch.randn(S, F, dtype=torch.float64)

    def model(x: Tensor) -> None:
        with pyro.plate("data", B):
            z = pyro.sample("z", dist.Normal(x.new_zeros(F), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", B):
            pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))

    terms = Objective().terms(model, guide, (torch.zeros(B, F, dtype=torch.float64),))
    hook = SequenceDiscrimination("z", lambda: table, VARIANCE, 1.0)
    distances = (loc.unsqueeze(1) - table).square().sum(-1) / (2 * VARIANCE)
    expected = -(-distances).log_softmax(1)[torch.arange(B), INDEX].mean()
    torch.testing.assert_close(hook.penalty(terms, {"index": INDEX}), expected)


def test_batches_without_an_index_are_refused():
    guide, given = Guide(), batch()
    terms = Objective().terms(Model(), guide, (given["x"],))
    with pytest.raises(ValueError, match="the batch has no 'index'; it has 'x'"):
        hook_of(guide).penalty(terms, {"x": given["x"]})


def test_sites_without_a_plate_of_data_are_refused():
    guide, given = Guide(), batch()
    terms = Objective().terms(Model(), guide, (given["x"],))
    hook = SequenceDiscrimination("x", lambda: guide.table, VARIANCE, 1.0)
    with pytest.raises(ValueError, match="site 'x' is in no plate named 'data' of the guide"):
        hook.penalty(terms, given)


@pytest.mark.parametrize("variance", [0.0, -1.0, math.inf, math.nan])
def test_wrong_variances_are_refused(variance):
    with pytest.raises(ValueError, match=r"variance is .*; expected a finite number above 0"):
        SequenceDiscrimination("content", lambda: torch.zeros(S, F), variance, 1.0)


def test_wrong_weights_are_refused():
    with pytest.raises(ValueError, match=r"weight is -1\.0; expected a finite number of at least"):
        SequenceDiscrimination("content", lambda: torch.zeros(S, F), 1.0, -1.0)
