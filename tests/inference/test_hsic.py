"""The independence criterion, against its definition by sums, and closed forms."""

import math
from itertools import permutations, product
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from unbraid.inference import (
    HSIC,
    LinearWarmup,
    Objective,
    Step,
    gradients,
    kernel_dependence,
)

from .aggregates import Prior, terms_of
from .pairs import B, C, K, Pair, make_pair

FALSE_ALARM = 4.9  # standard errors: once in a million, for a mean of many batches


def gaussian_gram(values, bandwidth):
    """Entry by entry."""
    values = np.asarray(values)
    return np.array(
        [[math.exp(-((a - b) ** 2).sum() / (2 * bandwidth**2)) for b in values] for a in values]
    )


def by_hand(k, l, unbiased):  # noqa: E741
    """Its definition, `k_ij l_ij + k_ij l_qr - 2 k_ij l_iq`, over all quadruples of data.

    Unbiased: over those of four different data.
    """
    count = len(k)
    fours = permutations(range(count), 4) if unbiased else product(range(count), repeat=4)
    found = [k[i][j] * l[i][j] + k[i][j] * l[q][r] - 2 * k[i][j] * l[i][q] for i, j, q, r in fours]
    return math.fsum(found) / len(found)


def two_codes(count, *more):
    """Dependent codes of 3 and 2 dimensions."""
    a = torch.randn(*more, count, 3, dtype=torch.float64)
    return a, a[..., :2] ** 2 + 0.4 * torch.randn(*more, count, 2, dtype=torch.float64)


def grams(a, b):
    return torch.tensor(gaussian_gram(a, 1.3)), torch.tensor(gaussian_gram(b, 0.8))


@pytest.mark.parametrize("unbiased", [True, False])
def test_it_is_its_definition(unbiased):
    k, l = grams(*two_codes(7))  # noqa: E741
    found = float(kernel_dependence(k, l, unbiased=unbiased))
    assert found == pytest.approx(by_hand(k.tolist(), l.tolist(), unbiased), rel=1e-10)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("among", [(0, 2, 3, 5, 6), (1, 2, 4, 6)])
def test_data_that_are_not_known_do_not_count(unbiased, among):
    k, l = grams(*two_codes(7))  # noqa: E741
    known = torch.zeros(7, dtype=torch.bool)
    known[list(among)] = True
    found = float(kernel_dependence(k, l, known, unbiased))
    k, l = k[among, :][:, among].tolist(), l[among, :][:, among].tolist()  # noqa: E741
    assert found == pytest.approx(by_hand(k, l, unbiased), rel=1e-10)


@pytest.mark.parametrize(("unbiased", "fewest"), [(True, 4), (False, 2)])
def test_too_few_known_data_are_independent(unbiased, fewest):
    k, l = grams(*two_codes(7))  # noqa: E741
    k.requires_grad_()
    for count in range(fewest + 1):
        found = kernel_dependence(k, l, torch.arange(7) < count, unbiased)
        assert torch.isfinite(torch.autograd.grad(found, k)[0]).all()
        assert (found != 0) == (count == fewest)


def test_permuting_both_alike_changes_nothing():
    k, l = grams(*two_codes(9))  # noqa: E741
    order = torch.randperm(9)
    both = kernel_dependence(k[order][:, order], l[order][:, order])
    torch.testing.assert_close(both, kernel_dependence(k, l), rtol=1e-12, atol=1e-14)
    one = kernel_dependence(k[order][:, order], l)
    assert abs(one - both) > 0.3 * both
    torch.testing.assert_close(kernel_dependence(l, k), kernel_dependence(k, l))


def mean_of_exponential(covariance, widths):
    """`E exp(-sum_i d_i^2 / (2 w_i^2))` of a central Normal `d`: `det(I + W^-2 S)^(-1/2)`."""
    return 1 / math.sqrt(np.linalg.det(np.eye(len(widths)) + covariance / widths[:, None] ** 2))


def normal_dependence(covariance, first, bandwidths):
    """HSIC of the first dimensions of a Normal and the others, with Gaussian kernels.

    Differences of two draws have twice the covariance. In the last of its three means each
    variable is compared with a draw of its own: blocks twice as large, and between them once.
    """
    dims = len(covariance)
    widths = np.where(np.arange(dims) < first, *bandwidths)
    across = (np.arange(dims)[:, None] < first) != (np.arange(dims) < first)
    paired = mean_of_exponential(2 * covariance, widths)
    apart = mean_of_exponential(np.where(across, 0, 2 * covariance), widths)
    crossed = mean_of_exponential(np.where(across, covariance, 2 * covariance), widths)
    return paired + apart - 2 * crossed


def batches_of(x, first, bandwidths):
    def gram(values, bandwidth):
        squares = (values.unsqueeze(-2) - values.unsqueeze(-3)).square().sum(-1)
        return (-squares / (2 * bandwidth**2)).exp()

    return gram(x[..., :first], bandwidths[0]), gram(x[..., first:], bandwidths[1])


def assert_mean(estimates, truth, precision):
    """The mean is the truth within 4.9 standard errors, which are below `precision`."""
    error = float(estimates.std() / math.sqrt(len(estimates)))
    assert error < precision
    assert abs(float(estimates.mean()) - truth) < FALSE_ALARM * error


@pytest.mark.parametrize(("dims", "first"), [(2, 1), (5, 2)])
def test_the_mean_of_the_unbiased_estimate_is_the_truth(dims, first):
    """Within 4.9 standard errors, each below 0.001; the biased one is off by more than ten."""
    bandwidths = (1.2, 0.9)
    root = torch.randn(dims, dims, dtype=torch.float64)
    covariance = root @ root.T / dims + 0.2 * torch.eye(dims, dtype=torch.float64)
    truth = normal_dependence(covariance.numpy(), first, bandwidths)
    x = MultivariateNormal(torch.zeros(dims).double(), covariance).sample((4000, 12))
    k, l = batches_of(x, first, bandwidths)  # noqa: E741
    assert truth > 0.005
    assert_mean(kernel_dependence(k, l), truth, 0.001)
    biased = kernel_dependence(k, l, unbiased=False)
    assert (biased > 0).all()
    assert float(biased.mean()) > truth + 0.01


def test_the_mean_is_zero_for_independent_codes():
    a, b = torch.randn(4000, 10, 2), torch.randn(4000, 10, 3)
    found = kernel_dependence(*batches_of(torch.cat([a, b], -1).double(), 2, (1.0, 2.0)))
    assert (found < 0).any()
    assert_mean(found, 0.0, 0.0005)


def test_the_mean_is_that_of_a_mixture_and_its_labels():
    """Codes of label c are Normal with mean m_c; labels are equal or not.

    With `e_ab` the mean kernel of codes of labels a and b: `sum p_c^2 e_cc`, plus
    `sum p_c^2 sum p_a p_b e_ab`, minus `2 sum_ab p_a^2 p_b e_ab`.
    """
    p, means, spread, bandwidth = np.array([0.5, 0.3, 0.2]), np.array([-1.0, 0.5, 2.0]), 0.6, 0.9
    variance = bandwidth**2 + 2 * spread**2
    e = bandwidth / math.sqrt(variance) * np.exp(-((means[:, None] - means) ** 2) / 2 / variance)
    truth = p**2 @ e.diagonal() + (p**2).sum() * (p @ e @ p) - 2 * (p**2 @ e @ p)
    label = torch.multinomial(torch.tensor(p), 4000 * 12, replacement=True).view(4000, 12)
    codes = torch.tensor(means)[label] + spread * torch.randn(4000, 12, dtype=torch.float64)
    k = (-((codes[..., None] - codes[:, None]) ** 2) / (2 * bandwidth**2)).exp()
    assert truth > 0.05
    assert_mean(kernel_dependence(k, (label[..., None] == label[:, None]).double()), truth, 0.002)


def median_distance(values):
    """The lower median over pairs."""
    count = len(values)
    distances = sorted(
        float((values[i] - values[j]).norm()) for i in range(count) for j in range(i)
    )
    return distances[(len(distances) - 1) // 2]


def expected_of(values, second, bandwidth=None, unbiased=True):
    """The hook's value with weight 1, from codes and the other Gram matrix."""
    return by_hand(gaussian_gram(values, bandwidth or median_distance(values)), second, unbiased)


@pytest.mark.parametrize("particles", [1, 2])
@pytest.mark.parametrize("bandwidths", [(None, None), (0.7, None), (None, 1.9)])
@pytest.mark.parametrize("unbiased", [True, False])
def test_codes_of_two_sites_are_compared(bandwidths, unbiased, particles):
    pair = two_sites()
    terms = Objective(particles=particles).terms(pair.model, pair.guide, pair.args)
    hook = HSIC(("pose", "content"), 2.5, bandwidths=bandwidths, unbiased=unbiased)
    pose = terms["pose"].value.detach().reshape(particles, B, C)
    content = terms["content"].value.detach().reshape(particles, B, K)
    expected = [
        expected_of(
            a, gaussian_gram(b, bandwidths[1] or median_distance(b)), bandwidths[0], unbiased
        )
        for a, b in zip(pose, content, strict=True)
    ]
    found = float(hook.penalty(terms, {}).detach())
    assert found == pytest.approx(2.5 * np.mean(expected), rel=1e-9)


def moments(batch, dims):
    loc = torch.randn(batch, dims, dtype=torch.float64)
    return loc, torch.rand(batch, dims, dtype=torch.float64) + 0.3


LABEL = torch.tensor([0, 1, 0, 2, 1, 1, 0])


@pytest.mark.parametrize("particles", [1, 2])
@pytest.mark.parametrize(
    ("batch", "options"),
    [
        ({"label": LABEL}, {"annotation": "label"}),
        ({"group": LABEL.unsqueeze(-1)}, {"annotation": "group"}),
        (
            {"factors": torch.stack([LABEL * 0, LABEL, LABEL % 2], 1)},
            {"annotation": "factors", "column": 1},
        ),
    ],
)
def test_integers_are_equal_or_not(batch, options, particles):
    terms, _ = terms_of(*moments(7, K), particles)
    found = float(HSIC("z", 3.0, **options).penalty(terms, batch).detach())
    equal = (LABEL[:, None] == LABEL).double().tolist()
    values = terms["z"].value.detach().reshape(particles, 7, K)
    assert found == pytest.approx(3 * np.mean([expected_of(v, equal) for v in values]), rel=1e-9)


def test_data_of_unknown_label_are_left_out_of_the_median_too():
    loc, scale = moments(7, K)
    label = LABEL.clone()
    label[[1, 4]] = -1
    terms, _ = terms_of(torch.where(label[:, None] < 0, 30.0, loc), scale)
    found = float(HSIC("z", 1.0, annotation="label").penalty(terms, {"label": label}).detach())
    kept = terms["z"].value.detach()[label >= 0]
    labels = label[label >= 0]
    expected = expected_of(kept, (labels[:, None] == labels).double().tolist())
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_batch_without_labels_teaches_nothing():
    terms, guide = terms_of(*moments(7, K))
    penalty = HSIC("z", 1.0, annotation="label").penalty(terms, {"label": torch.full((7,), -1)})
    assert float(penalty.detach()) == 0
    found = torch.autograd.grad(penalty, [*guide.parameters()])
    assert all(not gradient.any() for gradient in found)


@pytest.mark.parametrize("column", [None, 1])
def test_real_numbers_have_a_gaussian_kernel(column):
    terms, _ = terms_of(*moments(7, K))
    factors = torch.randn(7, 2)
    hook = HSIC("z", 1.0, annotation="factors", column=column, bandwidths=(0.8, None))
    used = (factors if column is None else factors[:, 1:2]).double()
    expected = expected_of(
        terms["z"].value.detach(), gaussian_gram(used, median_distance(used)), 0.8
    )
    found = float(hook.penalty(terms, {"factors": factors}).detach())
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_median_has_no_gradient():
    loc, scale = moments(7, K)
    found = []
    for given in (False, True):
        torch.manual_seed(1)
        terms, guide = terms_of(loc, scale)
        width = median_distance(terms["z"].value.detach()) if given else None
        hook = HSIC("z", 1.0, annotation="label", bandwidths=(width, None))
        penalty = hook.penalty(terms, {"label": LABEL})
        found.append(torch.autograd.grad(penalty, [*guide.parameters()]))
    assert found[0][0].abs().max() > 1e-3
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)


def test_values_that_most_data_share_leave_it_finite():
    """The median distance is then 0."""
    terms, guide = terms_of(*moments(7, K))
    factors = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0])
    hook = HSIC("z", 1.0, annotation="factors")
    penalty = hook.penalty(terms, {"factors": factors})
    same = (factors[:, None] == factors).double().tolist()
    assert float(penalty.detach()) == pytest.approx(
        expected_of(terms["z"].value.detach(), same), rel=1e-9
    )
    for gradient in torch.autograd.grad(penalty, [*guide.parameters()]):
        assert torch.isfinite(gradient).all()


class Shifted(nn.Module):
    """A guide whose codes are Normal around a learned place for each of two labels."""

    def __init__(self, label):
        super().__init__()
        self.label = label
        self.places = nn.Parameter(torch.tensor([0.0, 2.0]))

    def forward(self, x):
        with pyro.plate("data", len(x)):
            loc = self.places[self.label].unsqueeze(-1)
            pyro.sample("z", dist.Normal(loc, 0.7).to_event(1))


@pytest.mark.parametrize("bandwidths", [(None, None), (1.0, None)])
def test_going_downhill_makes_a_code_independent_of_the_label(bandwidths):
    """The two places become one; over 20 other seeds they were at most 0.05 apart."""
    label = torch.arange(60) % 2
    guide, model, kept = Shifted(label), Prior(1), []
    hook = HSIC("z", 1.0, annotation="label", bandwidths=bandwidths)
    objective, x = Objective(), torch.zeros(60, 1)
    optimizer = torch.optim.Adam(guide.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        hook.penalty(objective.terms(model, guide, (x,)), {"label": label}).backward()
        optimizer.step()
        kept.append(guide.places.detach().clone())
    first, second = torch.stack(kept[100:]).mean(0)
    assert abs(first - second) < 0.15


def two_sites() -> Pair:
    """The pair of `pose` and `content`, with weights so small that no density is extreme."""
    pair = make_pair("structured")
    with torch.no_grad():
        for parameter in pair.parameters:
            parameter.mul_(0.5)
    return pair


def loss_of(hooks, batch=None) -> Any:
    pair = two_sites()
    torch.manual_seed(9)
    loss = Objective(hooks=hooks).mean_loss(pair.model, pair.guide, pair.args, batch)
    return loss, gradients(loss, pair.model, pair.guide, pair.parameters)


def test_it_joins_the_loss_and_not_the_bound():
    plain, _ = loss_of([])
    loss, found = loss_of([HSIC(("pose", "content"), 50.0)])
    assert torch.equal(loss.parts["elbo"], plain.parts["elbo"])
    torch.testing.assert_close(loss.total, plain.total + loss.parts["HSIC"])
    assert abs(float(loss.parts["HSIC"])) > 0.01
    assert any((a != b).any() for a, b in zip(found, loss_of([])[1], strict=True))


@pytest.mark.parametrize("options", [{"sites": ("pose", "content")}, {"annotation": "label"}])
def test_weight_zero_changes_nothing(options):
    batch = {"label": torch.arange(B) // 2}
    plain, expected = loss_of([], batch)
    loss, found = loss_of([HSIC(**{"sites": "pose", "weight": 0.0, **options})], batch)
    assert torch.equal(loss.total, plain.total)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_weight_may_be_a_schedule():
    hook = HSIC(("pose", "content"), LinearWarmup(4, 0.0, 2.0))
    full = loss_of([HSIC(("pose", "content"), 1.0)])[0].parts["HSIC"]
    for step in range(6):
        torch.testing.assert_close(loss_of([hook])[0].parts["HSIC"], full * min(2.0, step / 2))
        hook.advance()
    assert {name: float(value) for name, value in hook.state_dict().items()} == {"weight.step": 6}


@pytest.mark.parametrize("kind", ["label", "factors"])
def test_bfloat16_nets_leave_the_estimate_in_float32(kind):
    loc, scale = moments(50, K)
    terms, _ = terms_of(loc.float(), scale.float())
    batch = {"label": torch.arange(50) % 3, "factors": torch.randn(50, 2).bfloat16()}
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(HSIC("z", 1.0, annotation=kind).penalty(terms, batch))
    assert found[1].dtype == torch.float32
    assert torch.equal(*found)


def steps(mode, **options) -> list[torch.Tensor]:
    pair = two_sites()
    optimizer = torch.optim.Adam(pair.parameters, lr=1e-2, fused=True)
    objective = Objective(hooks=[HSIC(**{"weight": LinearWarmup(4, 1.0, 2.0), **options})])
    step = Step(pair.model, pair.guide, objective, optimizer, mode=mode)
    losses = []
    for i in range(6):
        torch.manual_seed(i)
        label = torch.randint(-1 if i % 2 else 0, 2, (B,))
        losses.append(step(pair.args, {"x": pair.args[0], "label": label})["HSIC"].clone())
        objective.advance()
    assert step.mode == mode
    assert all(run for run, _, _ in step._compiled.values())
    return [torch.stack(losses), *(p.detach() for p in pair.parameters)]


@pytest.mark.parametrize(
    "options", [{"sites": ("pose", "content")}, {"sites": "pose", "annotation": "label"}]
)
def test_recorded_steps_are_eager_steps_to_the_bit(options):
    recorded, eager = steps("record", **options), steps("eager", **options)
    assert all(torch.equal(a, b) for a, b in zip(recorded, eager, strict=True))
    assert len(set(recorded[0].tolist())) > 4


@pytest.mark.parametrize(
    ("name", "sites", "message"),
    [
        ("plain", ("z", "x"), "site 'x' is not sampled in the guide; expected a latent site"),
        ("frames", ("static", "dynamic"), r"'static' has batch shape \(5, 1\) in plates data"),
        ("global", ("z", "weight"), r"'weight' has batch shape \(\) in plates none"),
        ("guide-label", ("label", "z"), "site 'label' is enumerated"),
    ],
)
def test_sites_without_such_codes_are_refused(name, sites, message):
    pair = make_pair(name)
    terms = Objective().terms(pair.model, pair.guide, pair.args)
    with pytest.raises(ValueError, match=message):
        HSIC(sites, 1.0).penalty(terms, {})


def test_masked_sites_are_refused():
    pair = make_pair("structured")
    mask: Any = torch.arange(B) < 3
    masked = Pair(pyro.poutine.mask(pair.model, mask), pyro.poutine.mask(pair.guide, mask), ())
    terms = Objective().terms(masked.model, masked.guide, pair.args)
    with pytest.raises(ValueError, match="site 'pose' is masked"):
        HSIC(("pose", "content"), 1.0).penalty(terms, {})


@pytest.mark.parametrize(("size", "unbiased"), [(3, True), (1, False)])
def test_small_batches_are_refused(size, unbiased):
    fewest = 4 if unbiased else 2
    hook = HSIC("z", 1.0, annotation="label", unbiased=unbiased)
    for count in (size, fewest):
        terms, _ = terms_of(*moments(count, K))
        batch = {"label": torch.arange(count)}
        if count == fewest:
            assert torch.isfinite(hook.penalty(terms, batch))
            continue
        with pytest.raises(ValueError, match=f"the batch has {size} data; expected at least"):
            hook.penalty(terms, batch)


@pytest.mark.parametrize(
    ("batch", "options", "message"),
    [
        ({"x": LABEL}, {}, "the batch has no 'label'; it has 'x'"),
        ({"label": LABEL[:5]}, {}, r"'label' has shape \(5,\); expected \(7,\) or \(7, F\)"),
        ({"label": LABEL.view(7, 1, 1)}, {}, r"'label' has shape \(7, 1, 1\)"),
        ({"label": torch.stack([LABEL, LABEL], 1)}, {}, "has 2 columns of integers; expected one"),
        ({"label": LABEL}, {"column": 1}, "column is 1; expected 0 to 0, the columns of"),
        ({"label": LABEL}, {"column": -1}, "column is -1"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(batch, options, message):
    terms, _ = terms_of(*moments(7, K))
    with pytest.raises(ValueError, match=message):
        HSIC("z", 1.0, annotation="label", **options).penalty(terms, batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight is -1.0"),
        ({"sites": "a"}, "sites is 'a' and annotation is None; expected two different sites, or"),
        ({"sites": ("a", "a")}, "expected two different sites"),
        ({"sites": ("a", "b", "c")}, "expected two different sites"),
        ({"annotation": "label"}, "and annotation is 'label'; expected two different sites"),
        ({"bandwidths": (1.0,)}, r"bandwidths is \(1.0,\); expected two"),
        ({"bandwidths": (1.0, 0.0)}, r"bandwidths is \(1.0, 0.0\)"),
        ({"bandwidths": (math.inf, None)}, "bandwidths is"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        HSIC(**{"sites": ("a", "b"), "weight": 1.0, **options})


def test_a_pair_without_the_site_is_refused():
    pair = make_pair("plain")
    objective = Objective(hooks=[HSIC(("z", "pose"), 1.0)])
    with pytest.raises(ValueError, match="hook 'HSIC' reads site 'pose'"):
        objective.terms(pair.model, pair.guide, pair.args)


def test_classes_whose_numbers_are_floats_are_classes_all_the_same():
    terms, _ = terms_of(*moments(7, K), 1)
    numbers = LABEL.double()
    columns = torch.stack([torch.linspace(0, 1, 7).double(), numbers], 1)
    as_classes = HSIC("z", 3.0, annotation="factors", column=1, discrete=True)
    of_floats = float(as_classes.penalty(terms, {"factors": columns}).detach())
    expected = HSIC("z", 3.0, annotation="label").penalty(terms, {"label": LABEL})
    assert of_floats == float(expected.detach())
