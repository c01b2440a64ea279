"""What every method of sequences keeps: a case that fails here names the method."""

from typing import Any

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from pyro.poutine import condition, trace
from torch import Tensor

from unbraid.inference import Objective, check_pair, log_likelihood, pair_parameters
from unbraid.methods import METHODS, DataSpec, OptionError, load_method, read_options

B, N, T, SIZE = 5, 4, 7, 9
SMALL = {
    "hidden": (13, 11),
    "channels": (4, 7),
    "code_hidden": (12,),
    "static_dim": 6,
    "dynamic_dim": 3,
    "frames": N,
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("static-dynamic", {}),
    ("static-dynamic", {"nets": "conv", "pair_channels": 5}),
    ("static-dynamic", {"companions": 2, "warmup": 10}),
    ("neural-statistician", {}),
    ("neural-statistician", {"layers": 2, "nets": "conv", "emphasis": 1.0}),
    ("group-vae", {}),
    ("group-vae", {"nets": "conv", "accumulate": "product-of-items", "warmup": 10}),
    ("group-vae", {"accumulate": "mean", "item_divergence": 3.0}),
    ("fhvae", {}),
    ("fhvae", {"nets": "conv", "alpha": 0.0, "warmup": 10}),
    ("drnet", {"form": "variational"}),
    ("drnet", {"form": "variational", "nets": "conv", "warmup": 10, "adversary": 0.0}),
]
JOINED = ["static-dynamic", "neural-statistician", "group-vae", "fhvae"]
VARIANTS += [(name, {"join": "modulate"}) for name in JOINED]
variants = pytest.mark.parametrize("name, options", VARIANTS, ids=str)
both = pytest.mark.parametrize("ragged", [False, True], ids=["even", "ragged"])


def spec(ragged: bool = False, **changes: Any) -> DataSpec:
    given: dict[str, Any] = {"shape": (1, 9, 14), "kind": "binary", "size": SIZE}
    return DataSpec(**{**given, "sequence_length": T, "ragged": ragged, **changes})


def build(name: str, data: DataSpec, **options: Any) -> Any:
    method = load_method(name)
    return method.build(read_options(method.options, {**SMALL, **options}), data)


def batch(frames: int = N, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """What a step is given, of which each method takes its keys."""
    return {
        "x": torch.randint(0, 2, (B, frames, 1, 9, 14)).to(dtype),
        "length": torch.tensor([frames, 1, max(1, frames - 1), frames, 2]).clamp(max=frames),
        "companions": torch.randint(0, 2, (B, 2, 1, 9, 14)).to(dtype),
        "index": torch.tensor([3, 0, 8, 1, 4]),
    }


def normal(terms: Any, site: str) -> Any:
    """The guide's distribution of a site."""
    return terms[site].q


def arguments(keys: tuple[str, ...], given: dict[str, Tensor]) -> tuple[Tensor, ...]:
    return tuple(given[key] for key in keys)


def test_every_method_of_sequences_is_tried():
    tried = {name for name, _ in VARIANTS}
    assert tried <= set(METHODS)
    for name in METHODS:
        method = load_method(name)
        takes_sequences = hasattr(method.options, "require_sequences")
        assert takes_sequences == (name in tried), name


@variants
@both
def test_sites_and_samples(name, options, ragged):
    parts = build(name, spec(ragged), **options)
    given = batch(dtype=torch.float32)
    for keys in (parts.keys, parts.inspected):
        facts = check_pair(parts.model, parts.guide, *arguments(keys, given))
        assert facts.observed == ("x",)
        assert facts.latents[0] == "static"
        assert facts.size == B
        assert facts.nesting == 2
    assert ("length" in parts.inspected) == ragged
    assert parts.model(size=3).shape == (3, N, 1, 9, 14)
    assert parts.model(size=3, frames=2).shape == (3, 2, 1, 9, 14)


@variants
@both
@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("analytic", [True, False])
def test_the_objective_is_pyros(name, options, ragged, particles, analytic):
    """At unit weights, on the same noise, in float64: value and gradients, to rounding."""
    parts = build(name, spec(ragged), **options)
    model, guide, args = parts.model.double(), parts.guide.double(), arguments(parts.keys, batch())
    kind = TraceMeanField_ELBO if analytic else Trace_ELBO
    stock = kind(num_particles=particles, vectorize_particles=True, max_plate_nesting=2)
    ours = Objective(particles=particles, analytic_kl=analytic)
    parameters = pair_parameters(model, guide)
    found = []
    for loss in (ours, stock):
        torch.manual_seed(3)
        value = loss.differentiable_loss(model, guide, *args)
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        found.append([value, *(g for g in gradients if g is not None)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@variants
@both
def test_the_order_of_frames_changes_nothing(name, options, ragged):
    """Static codes stay, codes of frames move along; and so do the weights of log p(x)."""
    parts = build(name, spec(ragged), **options)
    model, guide = parts.model.double(), parts.guide.double()
    given = batch()
    keys = parts.inspected
    order = torch.tensor([2, 0, 3, 1])
    if ragged:  # true frames come first, so that only they change places
        order = torch.tensor([1, 0, 2, 3])
        given["length"] = torch.tensor([4, 2, 3, 4, 2])
    permuted = {**given, "x": given["x"][:, order]}
    terms = [Objective().terms(model, guide, arguments(keys, g)) for g in (given, permuted)]
    first, second = (normal(t, "static") for t in terms)
    torch.testing.assert_close(first.mean, second.mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(first.variance, second.variance, rtol=0, atol=1e-12)
    values = {site: terms[0][site].value for site in terms[0].latents}
    moved = {s: v if s == "static" else v[:, order] for s, v in values.items()}
    bounds = [
        Objective().terms(model, guide, arguments(keys, g)).replay(v)
        for g, v in ((given, values), (permuted, moved))
    ]
    for site in ("static", "x"):
        a, b = (terms.per_datum(terms[site].log_p) for terms in bounds)
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    guided: list[Any] = [
        trace(condition(guide, v)).get_trace(*arguments(keys, g)).nodes
        for g, v in ((given, values), (permuted, moved))
    ]
    for site in values:
        a, b = (nodes[site]["fn"] for nodes in guided)
        for one, other in ((a.mean, b.mean), (a.variance, b.variance)):
            one = one if site == "static" else one[:, order]
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@variants
def test_padding_does_not_count(name, options):
    """Other pixels behind the last true frame change no bound and no code."""
    parts = build(name, spec(ragged=True), **options)
    model, guide = parts.model.double(), parts.guide.double()
    given = batch()
    other = {**given, "x": given["x"].clone()}
    for row, length in enumerate(given["length"]):
        other["x"][row, length:] = 1 - other["x"][row, length:]
    found = []
    for case in (given, other):
        torch.manual_seed(5)
        terms = Objective().terms(model, guide, arguments(parts.inspected, case))
        found.append((terms.elbo, normal(terms, "static").mean))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@variants
@pytest.mark.parametrize("true", [1, 2, 3])
def test_a_shorter_sequence_is_a_padded_one(name, options, true):
    """The static code of some frames is that of more of which as many are true."""
    parts = build(name, spec(ragged=True), **options)
    model, guide, x = parts.model.double(), parts.guide.double(), batch()["x"]
    codes = [
        normal(Objective().terms(model, guide, (frames, torch.full((B,), true))), "static")
        for frames in (x[:, :true], x)
    ]
    torch.testing.assert_close(codes[0].mean, codes[1].mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(codes[0].variance, codes[1].variance, rtol=1e-12, atol=1e-12)


@variants
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_any_number_of_frames_has_a_likelihood(name, options, frames):
    parts = build(name, spec(), **options)
    x = batch(frames, torch.float32)["x"]
    result = log_likelihood(parts.model, parts.guide, {"x": x}, samples=20)
    assert result.log_likelihood.shape == (B,)
    assert result.log_likelihood.isfinite().all()
    nested = log_likelihood(parts.model, parts.guide, {"x": x}, samples=4, inner_samples=5)
    assert (nested.log_likelihood >= nested.elbo).all()


@variants
@pytest.mark.parametrize("frames", [0, -1])
def test_sequences_of_no_frame_are_not_sampled(name, options, frames):
    with pytest.raises(ValueError, match=f"frames is {frames}; expected at least 1"):
        build(name, spec(), **options).model(size=2, frames=frames)


def registered(name, module):
    """Make a program that puts a plain module's parameters into Pyro's parameter store."""
    return lambda *args: pyro.module(name, module)(*args)


@variants
def test_stock_pyro_trains_it(name, options):
    parts = build(name, spec(), **options)
    model, guide = registered("model", parts.model), registered("guide", parts.guide)
    svi = SVI(model, guide, ClippedAdam({"lr": 0.01}), TraceMeanField_ELBO())
    args = arguments(parts.keys, batch(dtype=torch.float32))
    losses: Any = [svi.step(*args) for _ in range(20)]
    pyro.clear_param_store()
    assert losses[-1] < losses[0]


@variants
@both
def test_gradient_reaches_every_parameter(name, options, ragged):
    parts = build(name, spec(ragged), **options)
    objective = Objective(parts.weights, parts.hooks)
    for _ in range(3):
        objective.advance()
    given = batch(dtype=torch.float32)
    loss = objective.mean_loss(parts.model, parts.guide, arguments(parts.keys, given), given)
    parameters = pair_parameters(parts.model, parts.guide)
    for gradient in torch.autograd.grad(loss.total, parameters):
        assert torch.isfinite(gradient).all()
        assert (gradient != 0).any()


@variants
def test_images_are_refused(name, options):
    with pytest.raises(ValueError, match="data are images without sequence ids; expected seq"):
        build(name, spec(sequence_length=None), **options)


@variants
def test_sequences_of_one_frame_are_refused(name, options):
    with pytest.raises(ValueError, match="data are sequences of one frame; expected at least 2"):
        build(name, spec(sequence_length=1), **options)


@variants
def test_more_frames_than_there_are_are_refused(name, options):
    with pytest.raises(OptionError, match="frames is 8; expected 2 to 7, the frames of the long"):
        build(name, spec(), **{**options, "frames": 8})


@pytest.mark.parametrize(
    "options, words",
    [
        ({"static_dim": 0}, "static_dim is 0; expected an integer of at least 1"),
        ({"dynamic_dim": 0}, "dynamic_dim is 0"),
        ({"frames": 1}, "frames is 1; expected an integer of at least 2"),
        ({"code_hidden": ()}, "code_hidden is none"),
        ({"code_hidden": (0,)}, "code_hidden is 0"),
        ({"companions": -1}, "companions is -1"),
        ({"pair_channels": 0}, "pair_channels is 0"),
        ({"preset": "huge"}, "preset is 'huge'; expected one of light, published"),
    ],
    ids=lambda case: str(case)[:40],
)
def test_options_out_of_range(options, words):
    with pytest.raises(OptionError, match=words):
        build("static-dynamic", spec(), **options)


def test_the_published_sizes_are_a_preset():
    """Appendix C: four convolutions of 256, pairs of 512, codes by 512-512; set sizes stay."""
    data = spec(shape=(3, 64, 64), kind="colour")
    method = load_method("static-dynamic")
    chosen = read_options(method.options, {"preset": "published", "code_hidden": "64,32"})
    guide: Any = method.build(chosen, data).guide
    assert guide.trunk.feature_shape == (256, 4, 4)
    convolutions = [m for m in guide.trunk.net if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [256] * 4
    assert guide.static_encoder.halves.out_channels == 2 * 512
    assert guide.static_encoder.head[0].out_channels == 512
    widths = [layer.out_features for layer in guide.dynamic_encoder.first]
    assert widths == [64, 64]
    assert guide.dynamic_encoder.rest[0].out_features == 32


def test_companions_alone_tell_the_static_code():
    parts = build("static-dynamic", spec(), companions=2)
    given = batch(dtype=torch.float32)
    other = {**given, "x": 1 - given["x"]}
    more = {**given, "companions": 1 - given["companions"]}
    means = [
        normal(
            Objective().terms(parts.model, parts.guide, arguments(parts.keys, case)), "static"
        ).mean
        for case in (given, other, more)
    ]
    torch.testing.assert_close(means[0], means[1])
    assert (means[0] - means[2]).abs().max() > 1e-4


@pytest.mark.parametrize("nets", ["mlp", "conv"])
@pytest.mark.parametrize("name", JOINED)
def test_dynamic_codes_scale_what_the_static_code_says(name, nets):
    """Of twice the static code, the decoder's first layer gives twice as much."""
    options = {"nets": nets, "layers": 2} if name == "neural-statistician" else {"nets": nets}
    width = SMALL["static_dim"] + SMALL["dynamic_dim"] * (1 + (name == "neural-statistician"))
    codes = torch.randn(5, width)
    twice = codes.clone()
    twice[:, : SMALL["static_dim"]] *= 2
    for join, scaled in (("modulate", True), ("concatenate", False)):
        first = build(name, spec(), join=join, **options).model.decoder.net[0]
        doubled = torch.allclose(first(twice), 2 * first(codes), rtol=1e-4, atol=1e-6)
        assert doubled is scaled, join


@pytest.mark.parametrize("nets", ["mlp", "conv"])
@pytest.mark.parametrize("name", JOINED)
def test_the_net_that_scales_is_as_wide_and_starts_as_spread_as_asked(name, nets):
    options = {"nets": nets, "join": "modulate", "join_hidden": (700, 9), "code_spread": 50.0}
    first = build(name, spec(), **options).model.decoder.net[0].scales
    assert [layer.out_features for layer in first[:-1:2]] == [700, 9]
    assert first[0].weight.std() > 10


@pytest.mark.parametrize("name", [*JOINED, "drnet"])
def test_widths_of_a_net_that_is_not_there_are_refused(name):
    words = "join_hidden is 9,8 with join=concatenate; expected join=modulate, whose net it is of"
    with pytest.raises(OptionError, match=words):
        build(name, spec(), join_hidden=(9, 8))
