"""Accumulated Normals against densities on grids, torch's own products, and invariances."""

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from unbraid.nets import ACCUMULATIONS, mean_of_items, product_of_items, product_with_prior

B, N, F = 3, 5, 4
names = pytest.mark.parametrize("name", ACCUMULATIONS)


def items(size=B, count=N):
    generator = torch.Generator().manual_seed(2)
    loc = torch.randn(size, count, F, generator=generator, dtype=torch.float64)
    return loc, 0.2 + torch.rand(size, count, F, generator=generator, dtype=torch.float64)


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("prior", [True, False])
def test_the_product_is_the_normalised_product_of_densities(prior):
    """Log densities differ from the sum of the factors' by one number, wherever they are asked."""
    loc, scale = items()
    found = (product_with_prior if prior else product_of_items)(loc, scale)
    assert found.batch_shape == (B, 1) and found.event_shape == (F,)
    points = torch.linspace(-2, 2, 7, dtype=torch.float64)
    one = found.base_dist
    for k in range(F):
        factors = Normal(loc[..., k], scale[..., k]).log_prob(points[:, None, None]).sum(-1)
        if prior:
            factors = factors + Normal(0.0, 1.0).log_prob(points[:, None])
        own = Normal(one.loc[:, 0, k], one.scale[:, 0, k]).log_prob(points[:, None])
        difference = own - factors
        close(difference, difference[:1].expand_as(difference))


def test_the_product_with_the_prior_is_what_a_joint_normal_says():
    """s ~ N(0, 1), y_i ~ N(s, sigma_i^2): s given all y, by conditioning the joint Normal."""
    loc, scale = items()
    found = product_with_prior(loc, scale).base_dist
    for b in range(B):
        for k in range(F):
            noise = torch.diag(scale[b, :, k] ** 2)
            covariance = torch.ones(N, N, dtype=torch.float64) + noise
            gain = torch.linalg.solve(covariance, torch.ones(N, dtype=torch.float64))
            close(found.loc[b, 0, k], gain @ loc[b, :, k])
            close(found.scale[b, 0, k] ** 2, 1 - gain.sum())


def test_a_product_of_two_is_torchs():
    """By information form of multivariate Normals."""
    loc, scale = items(count=2)
    found = product_of_items(loc, scale).base_dist
    for b in range(B):
        both = [MultivariateNormal(loc[b, i], torch.diag(scale[b, i] ** 2)) for i in range(2)]
        precision = sum(each.precision_matrix for each in both)
        weighed = sum(each.precision_matrix @ each.loc for each in both)
        close(found.loc[b, 0], torch.linalg.solve(precision, weighed))
        close(torch.diag(found.scale[b, 0] ** 2), torch.linalg.inv(precision))


def test_the_mean_is_that_of_means_and_variances():
    loc, scale = items()
    found = mean_of_items(loc, scale).base_dist
    close(found.loc[:, 0], sum(loc[:, i] for i in range(N)) / N)
    close(found.scale[:, 0] ** 2, sum(scale[:, i] ** 2 for i in range(N)) / N)


def test_what_no_item_shows_keeps_the_prior():
    """However many items; the product of the items alone would be surer of it the more."""
    loc, scale = torch.zeros(1, 7, F), torch.full((1, 7, F), 1e6)
    found = product_with_prior(loc, scale).base_dist
    torch.testing.assert_close(found.scale, torch.ones(1, 1, F))
    several = product_of_items(torch.zeros(1, 7, F), torch.ones(1, 7, F)).base_dist
    torch.testing.assert_close(several.scale, torch.full((1, 1, F), 7**-0.5))


@pytest.mark.parametrize("name", ["product-of-items", "mean"])
def test_one_item_is_told_as_it_is(name):
    loc, scale = items(count=1)
    found = ACCUMULATIONS[name](loc, scale, None).base_dist
    close(found.loc, loc)
    close(found.scale, scale)


@names
def test_the_order_does_not_matter(name):
    loc, scale = items()
    order = torch.tensor([3, 0, 4, 2, 1])
    one = ACCUMULATIONS[name](loc, scale, None).base_dist
    other = ACCUMULATIONS[name](loc[:, order], scale[:, order], None).base_dist
    close(one.loc, other.loc)
    close(one.scale, other.scale)


@names
def test_missing_items_do_not_count(name):
    loc, scale = items()
    lengths = [2, 5, 1]
    mask = torch.arange(N) < torch.tensor(lengths)[:, None]
    found = ACCUMULATIONS[name](loc, scale, mask).base_dist
    for b, count in enumerate(lengths):
        alone = ACCUMULATIONS[name](loc[b : b + 1, :count], scale[b : b + 1, :count], None)
        close(found.loc[b], alone.base_dist.loc[0])
        close(found.scale[b], alone.base_dist.scale[0])
