"""The FHVAE's guide: the code of new sequences in closed form, that of known ones by a table."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from unbraid import guides, models
from unbraid.guides.fhvae import static_posterior  # pyright: ignore[reportMissingImports]
from unbraid.inference import Objective, PairError, SequenceDiscrimination, check_pair
from unbraid.nets import JointNormal, MLPDecoder, make_likelihood, mlp_trunk

F, Z, B, N, S = 2, 3, 4, 5, 9
SHAPE = (1, 4, 5)
INDEX = torch.tensor([7, 0, 3, 8])


def conditioned(means: Tensor, static_scale: float, content_scale: float) -> Any:
    """The code in the joint Normal of itself and N frames, given the frames."""
    count, dims = means.shape
    ones = torch.ones(count + 1, count + 1, dtype=torch.float64)
    noise = torch.diag(torch.tensor([0.0] + [content_scale**2] * count, dtype=torch.float64))
    covariance = torch.kron(static_scale**2 * ones + noise, torch.eye(dims, dtype=torch.float64))
    known = covariance[dims:, dims:]
    gain = torch.linalg.solve(known, covariance[dims:, :dims]).T
    loc = gain @ means.flatten()
    return loc, covariance[:dims, :dims] - gain @ covariance[dims:, :dims]


@pytest.mark.parametrize("scales", [(1.0, 0.5), (1.7, 0.3)])
@pytest.mark.parametrize("count", [1, 2, N])
def test_it_is_that_of_conditioning_a_joint_normal(scales, count):
    means = torch.randn(B, N, F, dtype=torch.float64)
    mask = torch.arange(N) < torch.tensor([count] * B).unsqueeze(1)
    for q in (
        static_posterior(means, mask, *scales),
        static_posterior(means[:, :count], None, *scales),
    ):
        assert (q.batch_shape, q.event_shape) == ((B, 1), (F,))
        for row in range(B):
            loc, covariance = conditioned(means[row, :count], *scales)
            torch.testing.assert_close(q.mean[row, 0], loc, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(
                q.variance[row, 0].diag(), covariance, rtol=1e-12, atol=1e-12
            )


def test_the_papers_scales_give_its_formula():
    means = torch.randn(B, N, F, dtype=torch.float64)
    q = static_posterior(means, None)
    torch.testing.assert_close(q.mean[:, 0], means.sum(1) / (N + 0.25), rtol=1e-12, atol=0)
    torch.testing.assert_close(q.variance, torch.full_like(q.variance, 0.25 / (N + 0.25)))


def test_padding_does_not_count():
    means, mask = torch.randn(B, N, F), torch.arange(N) < torch.tensor([[2], [5], [1], [3]])
    other = torch.where(mask.unsqueeze(-1), means, torch.full_like(means, 40.0))
    for name in ("mean", "variance"):
        a, b = (getattr(static_posterior(m, mask), name) for m in (means, other))
        assert torch.equal(a, b)


def make_pair(**changes: Any) -> tuple[Any, Any]:
    torch.manual_seed(1)
    trunk = mlp_trunk(SHAPE, (8, 7))
    decoder = MLPDecoder(F + Z, SHAPE, make_likelihood("bernoulli", 1), (6,))
    guide = guides.FHVAE(
        trunk, JointNormal([7], F, (5,)), JointNormal([7, F], Z, (5,)), S, F, **changes
    )
    return models.FHVAE(decoder, F, Z, **changes), guide


def frames() -> Tensor:
    torch.manual_seed(2)
    return torch.randint(0, 2, (B, N, *SHAPE)).float()


def test_the_bound_is_largest_at_the_closed_form():
    """Any other Normal for the code of a new sequence lowers the mean-field bound."""
    model, guide = (program.double() for program in make_pair())
    x = frames().double()
    terms: Any = Objective().terms(model, guide, (x,))
    best, content = terms["static"].q, terms["content"].q

    def bound(loc: Tensor, scale: Tensor) -> Tensor:
        """The terms with the static code: -KL(static) - E KL(content || N(static, 1/4))."""
        own = torch.distributions.kl_divergence(dist.Normal(loc, scale), dist.Normal(0.0, 1.0))
        shift = (content.mean - loc).square() + scale.square() + content.variance
        return -own.sum((-2, -1)) - (shift / 0.5).sum((-2, -1))

    loc = best.mean.clone().requires_grad_()
    scale = best.stddev.clone().requires_grad_()
    for gradient in torch.autograd.grad(bound(loc, scale).sum(), (loc, scale)):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-10)
    for _ in range(20):
        other = best.mean + 0.3 * torch.randn_like(loc), best.stddev * torch.rand_like(scale).exp()
        assert (bound(*other) < bound(best.mean, best.stddev)).all()


def test_the_code_of_a_known_sequence_is_its_row():
    _, guide = make_pair()
    nn.init.normal_(guide.table)
    static, content, dynamic = guide(frames(), None, INDEX)
    assert torch.equal(static, guide.table[INDEX].unsqueeze(1))
    assert (content.shape, dynamic.shape) == ((B, N, F), (B, N, Z))


def test_the_table_is_zero_at_first():
    _, guide = make_pair()
    assert torch.equal(guide.table.detach(), torch.zeros(S, F))


@pytest.mark.parametrize("hooked", [False, True])
def test_only_rows_of_the_batch_move(hooked):
    """Under the bound; the discriminative term is of all sequences, and moves all of them."""
    model, guide = make_pair()
    nn.init.normal_(guide.table)
    hook = SequenceDiscrimination("content", lambda: guide.table, 0.25, 1.0)
    objective = Objective(hooks=[hook] if hooked else [])
    before = guide.table.detach().clone()
    batch = {"x": frames(), "index": INDEX}
    loss = objective.mean_loss(model, guide, (batch["x"], None, INDEX), batch)
    optimizer = torch.optim.SGD(guide.parameters(), lr=0.1)
    loss.total.backward()
    optimizer.step()
    moved = (guide.table.detach() != before).all(1)
    assert moved[INDEX].all()
    assert int(moved.sum()) == (S if hooked else B)


def test_the_row_follows_its_gradient():
    """d/dmu of -log p(mu) - sum_t log p(z_t | mu): mu - 4 sum_t (m_t - mu), per datum."""
    model, guide = make_pair()
    model, guide = model.double(), guide.double()
    nn.init.normal_(guide.table)
    x = frames().double()
    loss: Any = Objective().mean_loss(model, guide, (x, None, INDEX))
    (found,) = torch.autograd.grad(loss.total, [guide.table])
    means, rows = loss.terms["content"].q.mean.detach(), guide.table.detach()[INDEX]
    expected = torch.zeros(S, F, dtype=torch.float64)
    expected[INDEX] = (rows - 4 * (means - rows.unsqueeze(1)).sum(1)) / B
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("wrong", [-1, S])
def test_an_index_outside_of_the_table_is_refused(wrong):
    model, guide = make_pair()
    index = INDEX.clone()
    index[1] = wrong
    message = rf"index is {min(wrong, 3)} to {max(wrong, 8)}; expected 0 to {S - 1}, the sequences"
    with pytest.raises(ValueError, match=message):
        guide(frames(), None, index)
    with pytest.raises(PairError, match=message):
        check_pair(model, guide, frames(), None, index)


def test_what_alone_follows_even_sequences_is_their_index():
    _, guide = make_pair(ragged=False)
    nn.init.normal_(guide.table)
    for args in ((INDEX,), (None, INDEX)):
        assert torch.equal(guide(frames(), *args)[0], guide.table[INDEX].unsqueeze(1))
    _, ragged = make_pair()
    lengths = torch.tensor([1, 2, 3, 5])
    mean = static_posterior(ragged.content_encoder(ragged.trunk(frames()).flatten(-3)).mean, None)
    guided = pyro.poutine.trace(ragged).get_trace(frames(), lengths).nodes["static"]["fn"]
    assert not torch.equal(guided.mean, mean.mean)


def test_a_step_reads_nothing_back():
    """The pair records as a straight line, index and lengths included."""
    _, guide = make_pair()

    def run(x: Tensor, length: Tensor, index: Tensor) -> Tensor:
        return guide(x, length, index)[0]

    args = (frames(), torch.tensor([1, 2, 3, 5]), INDEX)
    with pyro.validation_enabled(False):
        recorded = make_fx(run)(*args)
    other = torch.tensor([1, 2, 4, 5])
    assert torch.equal(recorded(args[0], args[1], other), guide.table[other].unsqueeze(1))
