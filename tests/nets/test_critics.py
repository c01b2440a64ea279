"""Critics: a score per example, whatever is scored, and no example's depends on another's."""

import pytest
import torch
from torch import nn

from unbraid.nets import ConvCritic, MLPCritic

N = 5


def weights_of(critic):
    return [p for p in critic.parameters() if p.dim() > 1]


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("hidden", [(7, 6), (8,), ()])
def test_a_connected_critic_is_its_layers_one_by_one(hidden, outputs):
    critic = MLPCritic(3, hidden, outputs)
    for p in critic.parameters():
        nn.init.normal_(p)
    z = torch.randn(N, 3)
    parameters, x = list(critic.parameters()), z
    assert len(parameters) == 2 * (len(hidden) + 1)
    for i in range(0, len(parameters), 2):
        x = x @ parameters[i].T + parameters[i + 1]
        if i + 2 < len(parameters):
            x = torch.where(x > 0, x, 0.2 * x)
    assert x.shape == (N, outputs)
    torch.testing.assert_close(critic(z), x)


def test_several_inputs_are_put_side_by_side():
    critic = MLPCritic(2 * 3 + 4 + 1, (7,))
    image, code, number = torch.randn(N, 2, 3), torch.randn(N, 4), torch.randn(N)
    both = torch.cat([image.flatten(1), code, number[:, None]], -1)
    assert torch.equal(critic(image, code, number), critic(both))
    assert critic(both).shape == (N, 1)


SHAPES = [(1, 8, 9), (3, 17, 12), (2, 64, 64)]


@pytest.mark.parametrize("extra", [0, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_convolutional_critic_scores_images_of_any_size(shape, extra):
    critic = ConvCritic(shape, extra, channels=(4, 5, 6), hidden=7, outputs=3)
    image = torch.randn(N, *shape)
    vectors = (torch.randn(N, 3), torch.randn(N)) if extra else ()
    assert critic(image, *vectors).shape == (N, 3)


def test_features_are_what_the_last_stage_gives():
    """Stages halve the sides: 17 x 12 becomes 8 x 6, 4 x 3, and 2 x 1 would be too small."""
    critic = ConvCritic((3, 17, 12), channels=(4, 5, 6), hidden=7)
    image = torch.randn(N, 3, 17, 12)
    features = critic.features(image)
    assert features.shape == (N, 5, 4, 3)
    torch.testing.assert_close(critic.head(features.flatten(1)), critic(image))
    by_hand = image
    for weight, bias in zip(
        *(list(critic.stages.parameters())[i::2] for i in (0, 1)), strict=True
    ):
        by_hand = nn.functional.conv2d(by_hand, weight, bias, stride=2, padding=1)
        by_hand = torch.where(by_hand > 0, by_hand, 0.2 * by_hand)
    torch.testing.assert_close(features, by_hand)


def test_the_vector_joins_after_the_stages():
    """The score is linear in the vector up to the hidden layer: its own columns of the weight."""
    critic = ConvCritic((1, 8, 9), extra=4, channels=(3,), hidden=7)
    image, vector = torch.randn(N, 1, 8, 9), torch.randn(N, 4)
    before = critic.head[0](torch.cat([critic.features(image).flatten(1), vector], -1))
    without = critic.head[0](torch.cat([critic.features(image).flatten(1), 0 * vector], -1))
    weight = critic.head[0].get_parameter("weight")[:, -4:]
    torch.testing.assert_close(before - without, vector @ weight.T)
    torch.testing.assert_close(critic(image, vector), critic.head[1:](before))


CRITICS = [
    (MLPCritic(4, (7,)), (torch.randn(N, 4),)),
    (ConvCritic((1, 8, 9), 2, (3, 4), 7), (torch.randn(N, 1, 8, 9), torch.randn(N, 2))),
]


@pytest.mark.parametrize(("critic", "inputs"), CRITICS)
def test_no_example_is_scored_by_its_neighbours(critic, inputs):
    together = critic(*inputs)
    alone = torch.cat([critic(*(value[i : i + 1] for value in inputs)) for i in range(N)])
    torch.testing.assert_close(together, alone)
    assert len(together.detach().unique()) == N


@pytest.mark.parametrize(("critic", "inputs"), CRITICS)
def test_scores_are_float32_under_autocast(critic, inputs):
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(*inputs).dtype == torch.float32
        if isinstance(critic, ConvCritic):
            assert critic.features(inputs[0]).dtype == torch.float32


@pytest.mark.parametrize(("critic", "inputs"), CRITICS)
def test_every_parameter_has_a_part_in_the_score(critic, inputs):
    gradients = torch.autograd.grad(critic(*inputs).square().sum(), list(critic.parameters()))
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients)


@pytest.mark.parametrize("make", [lambda a: MLPCritic(200, (300,), activation=a)])
@pytest.mark.parametrize("activation", ["leaky-relu", "relu", "tanh"])
def test_layers_start_by_glorots_rule_for_their_activation(make, activation):
    """Their standard deviation, to 5 of its own standard errors: once in 1.7 million not so.

    Of `n` uniform numbers the sample's deviation has a standard error of `sigma / sqrt(5 n)`.
    """
    gain = {"leaky-relu": (2 / 1.04) ** 0.5, "relu": 2**0.5, "tanh": 1.0}[activation]
    weight = weights_of(make(activation))[0].detach()
    expected = gain * (2 / (200 + 300)) ** 0.5
    error = expected / (5 * weight.numel()) ** 0.5
    assert float(weight.std()) == pytest.approx(expected, abs=5 * error)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvCritic((1, 7, 9)), r"shape is \(1, 7, 9\); expected height and width of at"),
        (lambda: ConvCritic((1, 8, 9), channels=()), r"channels is \(\); expected one width"),
        (lambda: ConvCritic((8, 9)), r"shape is \(8, 9\); expected three positive sizes"),  # pyright: ignore
        (lambda: MLPCritic(3, activation="swish"), "activation is 'swish'; expected one of"),
    ],
)
def test_wrong_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
