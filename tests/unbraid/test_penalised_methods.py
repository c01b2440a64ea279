"""The beta-TCVAE, the DIP-VAE and the MMD-VAE: their losses are the papers'; judging adds none."""

import json
from dataclasses import asdict
from typing import Any

import pytest
import torch

import unbraid as face
from unbraid.inference import Objective, divergence_parts, squared_mmd
from unbraid.methods import DataSpec, OptionError, load_method, read_options

DATA = DataSpec((1, 6, 7), "binary", 120)
METHODS = ["beta-tcvae", "dip-vae", "mmd-vae"]
PENALTIES = {"beta-tcvae": "TotalCorrelation", "dip-vae": "DIP", "mmd-vae": "MMD"}


def loss_of(name, steps=0, **options) -> Any:
    method = load_method(name)
    torch.manual_seed(1)
    small = {"hidden": (9,), "latent_dim": 4}
    parts = method.build(read_options(method.options, {**small, **options}), DATA)
    x = torch.randint(0, 2, (8, *DATA.shape)).float()
    objective = Objective(parts.weights, parts.hooks, analytic_kl=False)
    for _ in range(steps):
        objective.advance()
    torch.manual_seed(2)
    return objective.mean_loss(parts.model, parts.guide, (x,))


@pytest.mark.parametrize("sampling", ["stratified", "weighted"])
@pytest.mark.parametrize(("warmup", "share"), [(0, 1.0), (8, 0.375)])
def test_beta_weighs_the_total_correlation_alone(sampling, warmup, share):
    """Chen et al. (2018), eq. 4; a warm-up weighs all of the divergence."""
    loss = loss_of("beta-tcvae", 3, beta=5.0, sampling=sampling, warmup=warmup)
    parts = divergence_parts(loss.terms, "z", DATA.size, sampling)
    divergence = parts.mutual_information + 5 * parts.total_correlation + parts.dimension_wise
    expected = loss.parts["x"] + share * divergence
    torch.testing.assert_close(loss.total, expected, rtol=1e-5, atol=1e-4)
    assert abs(float(parts.total_correlation.detach())) > 0.1


@pytest.mark.parametrize(
    "name, options",
    [
        ("beta-tcvae", {"beta": 1.0}),
        ("dip-vae", {"lambda_offdiag": 0.0, "lambda_diag": 0.0}),
        ("mmd-vae", {"alpha": 0.0, "lambda_prior": 1.0}),
    ],
)
def test_without_its_penalty_it_is_the_vae(name, options):
    assert torch.equal(loss_of(name, **options).total, loss_of("vae").total)


@pytest.mark.parametrize(
    ("options", "diagonal"),
    [
        ({"kind": "i"}, 20.0),
        ({"kind": "ii"}, 2.0),
        ({"kind": "i", "lambda_diag": 7.0}, 7.0),
        ({"kind": "ii", "lambda_diag": 0.0}, 0.0),
    ],
)
def test_the_covariance_is_held_at_the_identity(options, diagonal):
    """Kumar et al. (2018), eq. 6 and 7; lambda_diag is 10 lambda_offdiag or lambda_offdiag."""
    loss = loss_of("dip-vae", lambda_offdiag=2.0, **options)
    q = loss.terms["z"].q.base_dist
    covariance = q.loc.T.cov()
    if options["kind"] == "ii":
        covariance = covariance + q.variance.mean(0).diag()
    off = covariance - covariance.diag().diag()
    expected = 2 * off.square().sum() + diagonal * (covariance.diag() - 1).square().sum()
    torch.testing.assert_close(loss.parts["DIP"], expected.detach())
    torch.testing.assert_close(loss.total, -loss.parts["elbo"] + expected)


@pytest.mark.parametrize(("warmup", "share"), [(0, 1.0), (8, 0.375)])
@pytest.mark.parametrize(
    ("alpha", "lambda_prior", "divergence", "discrepancy"),
    [
        (1.0, 12.0, 0.0, 12.0),
        (0.0, 12.0, 1.0, 11.0),
        (0.3, 12.0, 0.7, 11.3),
        (-2.0, 4.0, 3.0, 1.0),
    ],
)
@pytest.mark.parametrize("options", [{}, {"kernel": "gaussian", "scales": (0.5, 2.0)}])
def test_alpha_and_lambda_weigh_divergence_and_discrepancy(
    options, alpha, lambda_prior, divergence, discrepancy, warmup, share
):
    """Zhao et al. (2017), eq. 6; the prior is drawn after the codes."""
    weights = {"alpha": alpha, "lambda_prior": lambda_prior, "warmup": warmup}
    loss = loss_of("mmd-vae", 3, **weights, unbiased=False, **options)
    torch.manual_seed(2)
    codes = loss.terms["z"].value
    torch.randn_like(codes)
    found = squared_mmd(codes, torch.randn_like(codes), **options, unbiased=False)
    expected = divergence * loss.parts["z"] + discrepancy * found
    # At alpha 0 the divergence is the VAE's.
    torch.testing.assert_close(loss.total, loss.parts["x"] + share * expected)
    assert float(found.detach()) > 0.05


@pytest.mark.parametrize(("start", "divergence", "share"), [(0.4, 0.5125, 0.375), (5.7, 3.825, 1)])
def test_its_divergence_warms_up_from_another_weight(start, divergence, share):
    """To 1 - alpha = 0.7, of eight steps the fourth; the discrepancy rises unless it falls."""
    weights = {"alpha": 0.3, "lambda_prior": 12.0, "warmup": 8, "warmup_from": start}
    loss, full = (
        loss_of("mmd-vae", 3, **weights),
        loss_of("mmd-vae", 3, alpha=0.3, lambda_prior=12.0),
    )
    torch.testing.assert_close(loss.parts["MMD"], share * full.parts["MMD"])
    expected = loss.parts["x"] + divergence * loss.parts["z"] + loss.parts["MMD"]
    torch.testing.assert_close(loss.total, expected)


@pytest.mark.parametrize("warmup", [0, 8])
def test_without_a_divergence_none_is_in_the_loss_at_all(warmup):
    """To the bit, and also where it is infinite."""
    loss = loss_of("mmd-vae", 3, warmup=warmup)
    assert torch.equal(loss.total, loss.parts["x"] + loss.parts["MMD"])
    method = load_method("mmd-vae")
    parts = method.build(read_options(method.options, {"warmup": warmup}), DATA)
    infinite = torch.tensor(float("inf"), requires_grad=True)
    weight: Any = parts.weights["z"]
    assert float(weight(infinite, None)) == 0.0


@pytest.mark.parametrize("alpha", [0.7, -2.0, -1.82, -1.8])
def test_without_a_discrepancy_it_is_the_beta_vae(alpha):
    """Weights add up to 1 in decimals; in binary -1.82 + 2.82 - 1 is not 0."""
    mine = loss_of("mmd-vae", alpha=alpha, lambda_prior=round(1 - alpha, 3))
    assert "MMD" not in mine.parts
    torch.testing.assert_close(mine.total, loss_of("beta-vae", beta=1 - alpha).total)


@pytest.mark.parametrize(
    ("name", "option", "wrong"),
    [
        ("beta-tcvae", "beta", "0.5"),
        ("beta-tcvae", "sampling", "mss"),
        ("dip-vae", "kind", "2"),
        ("dip-vae", "lambda_diag", "-0.1"),
        ("mmd-vae", "alpha", "1.1"),
        ("mmd-vae", "alpha", "nan"),
        ("mmd-vae", "alpha", "-inf"),
        ("mmd-vae", "lambda_prior", "0"),
        ("mmd-vae", "kernel", "rbf"),
        ("mmd-vae", "scales", "0"),
        ("mmd-vae", "scales", "inf"),
    ],
)
def test_wrong_options_are_refused_by_name(name, option, wrong):
    with pytest.raises(OptionError, match=f"{option} is .*{wrong}.*; expected"):
        read_options(load_method(name).options, {option: wrong})


def test_weights_below_zero_are_refused():
    with pytest.raises(OptionError, match=r"lambda_prior is 2.5; expected at least 1 - alpha = 3"):
        read_options(load_method("mmd-vae").options, {"alpha": "-2", "lambda_prior": "2.5"})


@pytest.mark.parametrize("name", METHODS)
def test_it_is_trained_and_judged_by_the_command_line(name, unbraid, train_words, place):
    # Without a divergence in its loss, mmd-vae raises no bound that could choose weights.
    validates = [] if name == "mmd-vae" else ["--validate-every", "50"]
    outcome = unbraid(*train_words(*validates, method=name, steps=50))
    assert outcome.code == 0, outcome
    rows = [json.loads(row) for row in (place / "run/metrics.jsonl").read_text().splitlines()]
    penalty = PENALTIES[name]
    logged = [row for row in rows if "loss" in row][-1]
    cost = logged["x"] if name == "mmd-vae" else -logged["elbo"]
    assert logged["loss"] == pytest.approx(cost + logged[penalty], rel=1e-4)
    assert abs(logged[penalty]) > 1e-3
    assert unbraid("evaluate", "run", "--samples", "3").code == 0


@pytest.mark.parametrize("name", METHODS)
def test_log_likelihoods_are_those_of_the_vae_of_the_same_weights(name, unbraid, train_words):
    assert unbraid(*train_words(method=name)).code == 0
    run = face.load("run", device="cpu")
    method = load_method("vae")
    kept = {key: run.config["options"][key] for key in asdict(method.options())}
    vae = method.build(read_options(method.options, kept), DataSpec((1, 8, 9), "grey", 24))
    vae.model.load_state_dict(run.model.state_dict())
    vae.guide.load_state_dict(run.guide.state_dict())
    mine = run.log_likelihood(3, progress=False).log_likelihood
    run.parts = vae
    assert torch.equal(mine, run.log_likelihood(3, progress=False).log_likelihood)


@pytest.mark.parametrize("name", METHODS)
def test_batches_of_one_are_refused(name, unbraid, train_words):
    outcome = unbraid(*train_words("--batch-size", "1", method=name))
    assert outcome.code == 2
    assert "the batch has 1 data; expected at least 2" in outcome.err


@pytest.mark.parametrize("name", ["vae", "beta-tcvae", "factor-vae"])
def test_a_warm_up_may_start_above_one(name):
    """The divergence's weight falls to 1; the penalty is whole from the first step."""
    method = load_method(name)
    options = {"warmup": 4, "warmup_from": 9.0, "hidden": (5,)}
    parts = method.build(read_options(method.options, options), DATA)
    weight: Any = parts.weights["z"]
    weights = []
    for _ in range(6):
        weights.append(float(weight(torch.ones(()))))
        weight.advance()
    assert weights == [9.0, 7.0, 5.0, 3.0, 1.0, 1.0]
    hooks: Any = parts.hooks
    shares = [float(hook.weight(torch.ones(()), None)) for hook in hooks]
    assert shares == {"vae": [], "beta-tcvae": [5.0], "factor-vae": [10.0]}[name]


@pytest.mark.parametrize(("start", "weights"), [(0.5, [0.5, 3.25, 6.0]), (2.0, [7.0, 6.5, 6.0])])
def test_help_says_where_the_weight_of_a_total_correlation_begins(start, weights):
    """It is weighed as a part of the divergence, and by the hook."""
    method = load_method("beta-tcvae")
    parts = method.build(method.options(hidden=(5,), warmup=2, warmup_from=start, beta=6.0), DATA)
    divergence: Any = parts.weights["z"]
    (hook,), found = parts.hooks, []
    of_hook: Any = hook
    one = torch.ones(())
    for _ in weights:
        found.append(float(divergence(one)) + float(of_hook.weight(one, None)))
        for schedule in (divergence, of_hook.weight):
            if hasattr(schedule, "advance"):
                schedule.advance()
    assert found == weights
    said = " ".join((method.options.__doc__ or "").split())
    assert "that of the total correlation, a part of it, goes from `warmup_from` to beta" in said
    assert "else it is beta - 1 above the divergence's throughout" in said


@pytest.mark.parametrize("start", ["0.5", "2"])
def test_a_warm_up_of_nothing_is_refused(start):
    """At alpha 1 there is no divergence, whose weight could begin there."""
    with pytest.raises(OptionError, match=f"warmup_from is {start} with alpha=1; expected 0"):
        read_options(load_method("mmd-vae").options, {"warmup": "50", "warmup_from": start})
