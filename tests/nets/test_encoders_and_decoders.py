"""Encoders and decoders: shapes, leading dims, gradients, precision, tracing."""

from math import gcd

import pyro
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import kl_divergence
from torch.fx.experimental.proxy_tensor import make_fx

from unbraid.nets import (
    LIKELIHOODS,
    BroadcastDecoder,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    make_likelihood,
    mlp,
)

ENCODERS = [
    lambda shape, k: MLPEncoder(shape, k, hidden=(13, 11)),
    lambda shape, k: ConvEncoder(shape, k, channels=(5, 6, 7), hidden=12),
]
DECODERS = [
    lambda k, shape, likelihood: MLPDecoder(k, shape, likelihood, hidden=(11, 13)),
    lambda k, shape, likelihood: ConvDecoder(k, shape, likelihood, channels=(7, 6, 5), hidden=12),
    lambda k, shape, likelihood: BroadcastDecoder(
        k, shape, likelihood, hidden=(9, 8), patch=gcd(shape[1], shape[2])
    ),
]
both_encoders = pytest.mark.parametrize("make_encoder", ENCODERS, ids=["mlp", "conv"])
all_decoders = pytest.mark.parametrize("make_decoder", DECODERS, ids=["mlp", "conv", "broadcast"])

mirrored_decoders = pytest.mark.parametrize("make_decoder", DECODERS[:2], ids=["mlp", "conv"])

shapes = st.tuples(st.integers(1, 4), st.integers(8, 40), st.integers(8, 40))
leads = st.sampled_from([(), (0,), (1,), (3,), (2, 3), (2, 0), (2, 1, 3)])


@both_encoders
@settings(max_examples=25, deadline=None)
@given(shape=shapes, lead=leads, latent_dim=st.integers(1, 6))
def test_encoder_shapes(make_encoder, shape, lead, latent_dim):
    encoder = make_encoder(shape, latent_dim)
    posterior = encoder(torch.rand(*lead, *shape))
    assert posterior.batch_shape == lead
    assert posterior.event_shape == (latent_dim,)
    assert (encoder.shape, encoder.latent_dim) == (shape, latent_dim)


@both_encoders
def test_the_scale_is_read_from_its_own_half(make_encoder):
    encoder = make_encoder((3, 9, 14), 5)
    x = torch.rand(7, 3, 9, 14)
    raw, posterior = encoder.raw(x), encoder(x)
    torch.testing.assert_close(posterior.mean, raw[:, :5])
    torch.testing.assert_close(posterior.stddev, (1 + raw[:, 5:].exp()).log() + 1e-6)


@all_decoders
@settings(max_examples=25, deadline=None)
@given(
    shape=shapes, lead=leads, latent_dim=st.integers(1, 6), name=st.sampled_from([*LIKELIHOODS])
)
def test_decoder_shapes(make_decoder, shape, lead, latent_dim, name):
    likelihood = make_likelihood(name, shape[0])
    decoder = make_decoder(latent_dim, shape, likelihood)
    z = torch.randn(*lead, latent_dim)
    images = decoder(z)
    assert decoder.raw(z).shape == (*lead, likelihood.raw_channels, *shape[1:])
    assert images.batch_shape == lead
    assert images.event_shape == shape
    assert images.sample().shape == (*lead, *shape)
    assert likelihood.mean(decoder.raw(z)).shape == (*lead, *shape)
    assert (decoder.shape, decoder.latent_dim) == (shape, latent_dim)
    assert decoder.likelihood is likelihood


@both_encoders
def test_encoder_treats_leading_dims_as_data(make_encoder):
    encoder = make_encoder((3, 9, 14), 5)
    x = torch.rand(2, 4, 3, 9, 14)
    together = encoder(x).base_dist
    for s in range(2):
        for b in range(4):
            alone = encoder(x[s, b]).base_dist
            torch.testing.assert_close(together.loc[s, b], alone.loc)
            torch.testing.assert_close(together.scale[s, b], alone.scale)


@all_decoders
def test_decoder_treats_leading_dims_as_data(make_decoder):
    decoder = make_decoder(5, (3, 9, 14), make_likelihood("discretised-logistic", 3))
    z = torch.randn(2, 4, 5)
    together = decoder.raw(z)
    for s in range(2):
        for b in range(4):
            torch.testing.assert_close(together[s, b], decoder.raw(z[s, b]))


@pytest.mark.parametrize(
    ("size", "stages"),
    [((64, 64), 4), ((28, 28), 3), ((8, 8), 2), ((8, 200), 2), ((31, 17), 3), ((200, 256), 4)],
)
def test_convolutional_nets_have_the_documented_stages(size, stages):
    encoder = ConvEncoder((3, *size), 5, channels=(6, 7, 8, 9))
    decoder = ConvDecoder(5, (3, *size), make_likelihood("bernoulli", 3), channels=(9, 8, 7, 6))
    convolutions = [layer for layer in encoder.net if isinstance(layer, torch.nn.Conv2d)]
    transposed = [layer for layer in decoder.net if isinstance(layer, torch.nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in convolutions] == [6, 7, 8, 9][:stages]
    assert [layer.in_channels for layer in transposed] == [9, 8, 7, 6][4 - stages :]


@both_encoders
def test_every_pixel_reaches_the_code(make_encoder):
    encoder = make_encoder((2, 11, 15), 4).double()
    x = torch.rand(6, 2, 11, 15, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder(x).base_dist.loc.square().sum(), x)
    assert (gradient.abs().sum(0) > 0).all()


@pytest.mark.parametrize("activation", ["relu", "leaky-relu", "tanh", "silu", "softplus"])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("name", [*LIKELIHOODS])
def test_gradient_reaches_every_parameter(kind, name, activation):
    shape, k = (3, 9, 14), 5
    likelihood = make_likelihood(name, 3)
    if kind == "mlp":
        encoder = MLPEncoder(shape, k, (13, 11), activation)
        decoder = MLPDecoder(k, shape, likelihood, (11, 13), activation)
    else:
        encoder = ConvEncoder(shape, k, (6, 7), 12, activation)
        decoder = ConvDecoder(k, shape, likelihood, (7, 6), 12, activation)
    x = torch.randint(0, 2, (17, *shape)).float()
    posterior = encoder(x)
    prior = torch.distributions.Normal(torch.zeros(k), torch.ones(k))
    kl = kl_divergence(posterior.base_dist, prior).sum()
    (kl - decoder(posterior.rsample()).log_prob(x).sum()).backward()
    for net in (encoder, decoder):
        for parameter_name, parameter in net.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name
            assert (parameter.grad != 0).any(), parameter_name


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e6, 1e15])
def test_encoder_stays_finite_for_extreme_images(size):
    encoder = MLPEncoder((1, 9, 14), 5, hidden=(13,))
    x = size * torch.randn(7, 1, 9, 14)
    posterior = encoder(x).base_dist
    assert torch.isfinite(posterior.loc).all()
    assert torch.isfinite(posterior.scale).all()
    assert (posterior.scale >= 1e-6).all()
    total = posterior.scale.sum() + posterior.loc.sum()
    gradients = torch.autograd.grad(total, [*encoder.parameters()])
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@both_encoders
@all_decoders
@pytest.mark.parametrize("name", [*LIKELIHOODS])
def test_densities_stay_in_float32_under_autocast(make_encoder, make_decoder, name):
    shape = (3, 9, 14)
    encoder = make_encoder(shape, 5)
    decoder = make_decoder(5, shape, make_likelihood(name, 3))
    x = torch.randint(0, 2, (7, *shape)).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encoder.raw(x).dtype == torch.bfloat16
        posterior = encoder(x)
        z = posterior.rsample()
        images = decoder(z)
        log_prob = images.log_prob(x)
        mean = decoder.likelihood.mean(decoder.raw(z))
    assert posterior.base_dist.loc.dtype == posterior.base_dist.scale.dtype == torch.float32
    assert decoder.raw(z).dtype == log_prob.dtype == images.sample().dtype == torch.float32
    assert posterior.log_prob(z).dtype == mean.dtype == torch.float32
    torch.testing.assert_close(log_prob, decoder(z).log_prob(x), rtol=0.02, atol=1.0)


@both_encoders
@all_decoders
@pytest.mark.parametrize("name", [*LIKELIHOODS])
def test_double_nets_agree_with_float_ones(make_encoder, make_decoder, name):
    shape = (3, 9, 14)
    encoder = make_encoder(shape, 5)
    decoder = make_decoder(5, shape, make_likelihood(name, 3))
    x = torch.randint(0, 2, (7, *shape)).float()
    z = torch.randn(2, 7, 5)
    code, density = encoder(x).base_dist, decoder(z).log_prob(x)
    encoder.double()
    decoder.double()
    x, z = x.double(), z.double()
    code_double, density_double = encoder(x).base_dist, decoder(z).log_prob(x)
    assert code_double.scale.dtype == density_double.dtype == torch.float64
    torch.testing.assert_close(code_double.loc.float(), code.loc, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(code_double.scale.float(), code.scale, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(density_double.float(), density, rtol=1e-4, atol=1e-2)


@both_encoders
@all_decoders
@pytest.mark.parametrize("name", [*LIKELIHOODS])
def test_nets_trace_to_a_straight_line(make_encoder, make_decoder, name):
    shape = (3, 9, 14)
    encoder = make_encoder(shape, 5)
    decoder = make_decoder(5, shape, make_likelihood(name, 3))

    def step(x, noise):
        posterior = encoder(x).base_dist
        z = posterior.loc + posterior.scale * noise
        return decoder(z).log_prob(x), decoder.likelihood.mean(decoder.raw(z))

    def data():
        return torch.randint(0, 2, (7, *shape)).float(), torch.randn(2, 7, 5)

    with pyro.validation_enabled(False):
        traced = make_fx(step)(*data())
        other = data()
        for ours, theirs in zip(traced(*other), step(*other), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("activation", ["relu", "leaky-relu", "silu"])
def test_deep_nets_start_with_outputs_of_order_one(activation):
    outputs = mlp((200,) * 9 + (50,), activation)(torch.randn(300, 200))
    assert 0.1 < float(outputs.detach().std()) < 3


@pytest.mark.parametrize("size", [(64, 64), (28, 35)])
def test_convolutional_decoder_starts_with_outputs_of_order_one(size):
    decoder = ConvDecoder(10, (1, *size), make_likelihood("bernoulli", 1))
    assert 0.1 < float(decoder.raw(torch.randn(50, 10)).detach().std()) < 3


def test_the_published_tanh_nets_have_the_published_sizes():
    encoder = MLPEncoder((1, 28, 28), 50, hidden=(200, 200), activation="tanh")
    sizes = [tuple(parameter.shape) for parameter in encoder.parameters()]
    assert sizes == [(200, 784), (200,), (200, 200), (200,), (100, 200), (100,)]
    assert [type(layer).__name__ for layer in encoder.net].count("Tanh") == 2


def test_hidden_layers_come_in_the_order_given():
    encoder = MLPEncoder((1, 9, 14), 5, hidden=(13, 11))
    decoder = MLPDecoder(5, (1, 9, 14), make_likelihood("bernoulli", 1), hidden=(11, 13))
    widths = [
        [layer.out_features for layer in net if isinstance(layer, torch.nn.Linear)]
        for net in (encoder.net, decoder.net)
    ]
    assert widths == [[13, 11, 10], [11, 13, 126]]


@both_encoders
def test_encoder_refuses_images_of_another_shape(make_encoder):
    encoder = make_encoder((1, 9, 14), 5)
    message = r"x is \(7, 1, 14, 9\); expected \(\.\.\., 1, 9, 14\)\. Build the encoder for"
    with pytest.raises(ValueError, match=message):
        encoder(torch.rand(7, 1, 14, 9))


@both_encoders
@pytest.mark.parametrize("shape", [(28, 28), (1, 0, 28), (0, 28, 28)])
def test_encoder_refuses_what_is_no_image_shape(make_encoder, shape):
    with pytest.raises(ValueError, match=r"shape is \(.*\); expected three positive sizes"):
        make_encoder(shape, 5)


@pytest.mark.parametrize("shape", [(1, 7, 28), (1, 28, 7), (3, 1, 1)])
def test_convolutional_nets_refuse_small_images(shape):
    with pytest.raises(ValueError, match="expected height and width of at least 8"):
        ConvEncoder(shape, 5)
    with pytest.raises(ValueError, match="expected height and width of at least 8"):
        ConvDecoder(5, shape, make_likelihood("bernoulli", shape[0]))


def test_convolutional_nets_refuse_no_channels():
    with pytest.raises(ValueError, match=r"channels is \(\); expected one width per stage"):
        ConvEncoder((1, 28, 28), 5, channels=())


@all_decoders
def test_decoder_refuses_a_likelihood_of_other_channels(make_decoder):
    with pytest.raises(ValueError, match=r"likelihood.channels is 1; expected 3"):
        make_decoder(5, (3, 9, 14), make_likelihood("bernoulli", 1))


def test_mlp_refuses_one_size():
    with pytest.raises(ValueError, match=r"sizes is \(3,\); expected at least two"):
        mlp((3,))


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation is 'gelu'; expected one of relu, leaky-relu"):
        MLPEncoder((1, 9, 14), 5, activation="gelu")


@mirrored_decoders
@pytest.mark.parametrize("latent_dim", [1, 2, 30])
def test_the_first_layers_outputs_start_with_the_spread_that_was_asked_for(
    make_decoder, latent_dim
):
    """The mean square of 40 000 units has a relative deviation of 0.0071 at most: 5.5 of it."""
    torch.manual_seed(0)
    likelihood = make_likelihood("bernoulli", 1)
    wide = {MLPDecoder: {"hidden": (40_000, 3)}, ConvDecoder: {"hidden": 40_000}}
    kind = type(make_decoder(latent_dim, (1, 9, 14), likelihood))
    decoder = kind(latent_dim, (1, 9, 14), likelihood, **wide[kind], code_spread=1.7)
    first = decoder.net[0].requires_grad_(False)
    codes = torch.randn(200, latent_dim)
    length = float(codes.square().sum(1).mean()) / latent_dim  # 1 in expectation
    outputs = codes @ first.weight.T
    assert float(outputs.square().mean()) == pytest.approx(1.7**2 * length, rel=0.039)
    assert float(first.bias.abs().max()) <= 1.7
    assert float(first.bias.var()) == pytest.approx(1.7**2 / 3, rel=0.03)


@mirrored_decoders
def test_without_a_spread_the_first_layer_follows_glorots_rule(make_decoder):
    torch.manual_seed(0)
    decoder = make_decoder(2, (1, 9, 14), make_likelihood("bernoulli", 1))
    first = decoder.net[0]
    limit = 2**0.5 * (6 / (2 + first.out_features)) ** 0.5
    assert float(first.weight.detach().abs().max()) <= limit
    assert not first.bias.any()
