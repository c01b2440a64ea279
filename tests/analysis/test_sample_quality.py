"""Features of nets that are trained here, and what they say of better and worse images."""

import pytest
import torch

from unbraid.analysis import (
    frechet_distance,
    kernel_distance,
    sample_quality,
    train_code_features,
    train_judge,
)

from .squares import HUES, PLACES, SIZES, draw


def frames(count, seed):
    generator = torch.Generator().manual_seed(seed)
    hue, size, place = (
        torch.randint(n, (count,), generator=generator) for n in (HUES, SIZES, PLACES)
    )
    return draw(hue, size, place, seed), {"hue": hue, "place": place}


@pytest.fixture(scope="module")
def judge():
    return train_judge(*frames(400, 0), *frames(100, 1), steps=60, progress=False)


@pytest.fixture(scope="module")
def codes():
    return train_code_features(frames(400, 0)[0], dims=4, steps=100, progress=False)


def test_features_of_a_judge_are_what_its_heads_see(judge):
    x, _ = frames(30, 2)
    features = judge.features(x)
    assert features.shape == (30, 128)
    told = {name: head(features).softmax(-1) for name, head in judge.net.heads.items()}
    for name, probabilities in judge.probabilities(x).items():
        torch.testing.assert_close(told[name], probabilities)
    torch.testing.assert_close(
        judge.features((x * 255).round().byte()), features, atol=0.5, rtol=0
    )


def test_codes_are_standardised_over_their_own_images(codes):
    own = codes.features(frames(400, 0)[0])
    torch.testing.assert_close(own.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(own.std(0, correction=0), torch.ones(4))
    raw = codes.encoder(frames(400, 0)[0]).mean
    assert torch.corrcoef(torch.stack([own[:, 1], raw[:, 1].detach()]))[0, 1] > 0.999


def test_codes_were_trained(codes):
    """Images can be told from them by a linear map, better than from codes of first weights."""
    x, _ = frames(400, 3)
    first = train_code_features(x, dims=4, steps=1, learning_rate=0.0, progress=False)

    def explained(features):
        pixels = x.flatten(1) - x.flatten(1).mean(0)
        centred = features - features.mean(0)
        left = pixels - centred @ torch.linalg.lstsq(centred, pixels).solution
        return float(1 - left.square().sum() / pixels.square().sum())

    assert explained(codes.features(x)) > 1.15 * explained(first.features(x))


@pytest.mark.parametrize("net", ["judge", "codes"])
def test_worse_images_are_farther(net, request):
    """Real images, real ones of one hue alone, and noise."""
    features = request.getfixturevalue(net).features
    real, other = frames(300, 4)[0], frames(300, 5)[0]
    generator = torch.Generator().manual_seed(6)
    noisy = (other + 0.3 * torch.randn(other.shape, generator=generator)).clamp(0, 1)
    noise = torch.rand(other.shape, generator=generator)
    found = [sample_quality(x, real, features) for x in (other, noisy, noise)]
    assert found[0].kernel.value < found[1].kernel.value < found[2].kernel.value
    assert abs(found[0].kernel.value) < 5 * found[0].kernel.standard_error
    frechet = [each.frechet or 0 for each in found]
    assert 0 < frechet[0] < frechet[1] < frechet[2]


def test_it_is_the_distances_of_the_features(codes):
    a, b = frames(60, 4)[0], frames(50, 5)[0]
    found = sample_quality(a, b, codes.features, blocks=3, seed=2)
    own, other = codes.features(a), codes.features(b)
    assert found.frechet == frechet_distance(own, other)
    assert found.kernel == kernel_distance(own, other, blocks=3, seed=2)
    assert (found.generated, found.real) == (60, 50)


def test_fewer_images_than_features_have_no_frechet_distance(judge):
    found = sample_quality(frames(60, 4)[0], frames(50, 5)[0], judge.features)
    assert found.frechet is None
    assert found.kernel.blocks == 10


def test_wrong_images_are_named(codes):
    x, _ = frames(5, 2)
    with pytest.raises(ValueError, match="images has values from 0 to 2; expected finite"):
        codes.features(2 * (x > 0.5).float())
    with pytest.raises(ValueError, match=r"images is \(5, 1, .*; expected \(N, 3, "):
        codes.features(x[:, :1])
    with pytest.raises(ValueError, match=r"expected \(N, C, H, W\) with at least one"):
        train_code_features(x[0])
    with pytest.raises(ValueError, match="steps is 0; expected at least 1"):
        train_code_features(x, steps=0)
