"""DrNet's options: what they build, and which of them are refused."""

import dataclasses
from typing import Any

import pytest
import torch

from unbraid.methods import DataSpec, OptionError, load_method, read_options
from unbraid.nets import Modulation

from .test_drnet import DATA, built


@pytest.mark.parametrize(
    "nets", [{"nets": "mlp"}, {"nets": "conv", "channels": (4, 5)}, {"skips": True}], ids=str
)
def test_a_pose_scales_what_the_content_says(nets):
    """Of twice the content, the first layer gives twice as much, whatever the pose."""
    nets = {"nets": "conv", "channels": (4, 5), **nets}
    found = [built(**nets, join=join).model.decoder for join in ("concatenate", "modulate")]
    first, other = ((d.head if "skips" in nets else d.net)[0] for d in found)
    assert isinstance(first, torch.nn.Linear) and isinstance(other, Modulation)
    torch.manual_seed(0)
    codes = torch.randn(6, 7)
    twice = torch.cat([2 * codes[:, :4], codes[:, 4:]], -1)
    assert other(codes).shape == first(codes).shape
    torch.testing.assert_close(other(twice), 2 * other(codes))
    assert not torch.allclose(first(twice), 2 * first(codes))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"frames": 1}, "frames is 1; expected an integer of at least 2"),
        ({"frames": 7}, "frames is 7; expected 2 to 6, the frames of the longest sequence"),
        ({"similarity": -1.0}, "similarity is -1.0"),
        ({"static_dim": -1}, "static_dim is -1; expected an integer of at least 0"),
        ({"static_dim": 0}, r"similarity is 1.0 with static_dim=0; expected 0, .* Set similarity"),
        ({"static_dim": 0, "similarity": 0.0}, "adversary is 0.1 with static_dim=0; expected 0"),
        (
            {"static_dim": 0, "similarity": 0.0, "adversary": 0.0, "skips": True},
            "skips is True with static_dim=0; expected false",
        ),
        ({"adversary": -1.0}, "adversary is -1.0"),
        ({"join": "add"}, "join is 'add'; expected one of concatenate, modulate"),
        ({"join": "modulate", "join_hidden": ()}, "join_hidden is none; expected at least one"),
        ({"join": "modulate", "join_hidden": (9, 0)}, "join_hidden is 0; expected an integer"),
        (
            {"join": "modulate", "static_dim": 0, "similarity": 0.0, "adversary": 0.0},
            "join is modulate with static_dim=0; expected a static code",
        ),
        ({"scale": 0.0}, "scale is 0.0; expected a finite number above 0"),
        ({"critic_hidden": (0,)}, "critic_hidden is 0"),
        ({"critic": "pair", "critic_hidden": ()}, "critic_hidden is .* with critic=pair"),
        ({"critic_rate": 0.0}, "critic_rate is 0.0"),
        ({"critic_steps": 0}, "critic_steps is 0"),
        ({"critic_warmup": -1}, "critic_warmup is -1"),
        ({"form": "other"}, "form is 'other'; expected one of published, variational"),
        ({"warmup": 3}, "warmup is 3 with form=published; expected 0"),
        ({"content_warmup": 3}, "content_warmup is 3 with form=published; expected 0"),
        ({"content_warmup": -1, "form": "variational"}, "content_warmup is -1"),
        (
            {
                "static_dim": 0,
                "similarity": 0.0,
                "adversary": 0.0,
                "form": "variational",
                "content_warmup": 5,
            },
            "content_warmup is 5 with static_dim=0; expected 0",
        ),
        ({"content_weight": 0.5}, "content_weight is 0.5 with form=published; expected 1"),
        ({"content_weight": -0.5, "form": "variational"}, "content_weight is -0.5"),
        (
            {
                "static_dim": 0,
                "similarity": 0.0,
                "adversary": 0.0,
                "form": "variational",
                "content_weight": 0.5,
            },
            "content_weight is 0.5 with static_dim=0; expected 1",
        ),
        ({"cycle": -0.5}, "cycle is -0.5"),
        (
            {"static_dim": 0, "similarity": 0.0, "adversary": 0.0, "cycle": 1.0},
            "cycle is 1.0 with static_dim=0; expected 0",
        ),
        ({"skips": True, "cycle": 1.0}, "skips is true with cycle=1.0; expected 0"),
        ({"skips": True, "form": "variational"}, "skips is true with form=variational"),
        ({"skips": True, "decoder": "broadcast"}, "skips is true with decoder=broadcast"),
        ({"join": "modulate", "decoder": "broadcast"}, "join is modulate with decoder=broadcast"),
        ({"skips": True, "nets": "mlp"}, "skips is true, but the nets have no convolutions"),
        ({"likelihood": "norml"}, "likelihood is 'norml'.* Did you mean normal"),
    ],
    ids=str,
)
def test_options_out_of_range(options, words):
    with pytest.raises(OptionError, match=words):
        built(**options)


@pytest.mark.parametrize(
    "changes, options, words",
    [
        ({"sequence_length": None}, {}, "data are images without sequence ids"),
        ({"sequence_length": 1}, {}, "data are sequences of one frame; expected at least 2"),
        ({"size": 1}, {}, "data have 1 clip to train on; expected at least 2"),
        (
            {"shape": (1, 16, 16), "kind": "grey"},
            {"preset": "published"},
            "data have 1 channel; expected 3 with preset=published",
        ),
    ],
    ids=str,
)
def test_data_that_do_not_suit(changes, options, words):
    with pytest.raises(ValueError, match=words):
        built(dataclasses.replace(DATA, **changes), **options)


def test_a_single_clip_is_enough_without_an_adversary():
    assert built(dataclasses.replace(DATA, size=1), adversary=0.0).hooks


def test_the_published_sizes_are_a_preset():
    """Content 64, pose 5, four convolutions of 64 to 512; set sizes stay."""
    method = load_method("drnet")
    data = DataSpec((3, 64, 64), "colour", 50, sequence_length=20)
    options = read_options(method.options, {"preset": "published", "static_dim": "32"})
    parts: Any = method.build(options, data)
    assert parts.model.static_dim == 32
    assert parts.model.dynamic_dim == 5
    assert parts.guide.pose_encoder.trunk.feature_shape == (512, 4, 4)
