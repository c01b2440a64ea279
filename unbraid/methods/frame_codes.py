"""Codes of single frames by the guides of trained pairs, for what builds on a run of sequences."""

from typing import Any, NamedTuple

import pyro.distributions as dist
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.nets import Decoder, Likelihood

from .method import DataSpec
from .options import OptionError
from .trained import trained_parts


class DrNetCodes(nn.Module):
    """Content and poses as the encoders of `DrNet` tell them.

    Args:
        guide: The guide.
    """

    def __init__(self, guide: guides.DrNet) -> None:
        super().__init__()
        self.guide = guide

    def content(self, frames: Tensor) -> TorchDistributionMixin:
        """Return the content, batch `(B, 1)`, of one frame of each clip, `(B, 1, C, H, W)`."""
        return self.guide.content_encoder(frames, None)

    def pose(self, frames: Tensor, content: Tensor) -> TorchDistributionMixin:
        """Return the poses, batch `(..., N)`, of frames `(..., N, C, H, W)`."""
        del content
        return self.guide.pose_encoder(frames)


class StaticDynamicCodes(nn.Module):
    """The same of `StaticDynamic`, whose dynamic code is told from the frame and the static code.

    Args:
        guide: The guide.
    """

    def __init__(self, guide: guides.StaticDynamic) -> None:
        super().__init__()
        self.guide = guide

    def content(self, frames: Tensor) -> TorchDistributionMixin:
        """Return the static code, batch `(B, 1)`, of one frame of each clip."""
        return self.guide.static_encoder(self.guide.trunk(frames), None)

    def pose(self, frames: Tensor, content: Tensor) -> TorchDistributionMixin:
        """Return the dynamic codes, batch `(..., N)`, given static ones `(..., 1, F)`."""
        return self.guide.dynamic_encoder(self.guide.trunk(frames).flatten(-3), content)


class MeanCodes(nn.Module):
    """Points where other codes have their means.

    Args:
        codes: The other ones.
    """

    def __init__(self, codes: DrNetCodes | StaticDynamicCodes) -> None:
        super().__init__()
        self.codes = codes

    def content(self, frames: Tensor) -> TorchDistributionMixin:
        """Return the content, batch `(B, 1)`, of one frame of each clip."""
        return dist.Delta(self.codes.content(frames).mean, event_dim=1)

    def pose(self, frames: Tensor, content: Tensor) -> TorchDistributionMixin:
        """Return the poses, batch `(..., N)`, of frames `(..., N, C, H, W)`."""
        return dist.Delta(self.codes.pose(frames, content).mean, event_dim=1)


class TrainedCodes(NamedTuple):
    """What a run of sequences gives to a method that builds on it; its weights no longer move.

    Args:
        codes: Tells content and poses of frames.
        decoder: Maps codes, content first, to frames.
        likelihood: That of the frames.
        content_dim: Number of coordinates of the content.
        told: How many of them come first that are no maps of a decoder with skips.
        pose_dim: Number of coordinates of a pose.
        points: Whether codes are points.
    """

    codes: DrNetCodes | StaticDynamicCodes | MeanCodes
    decoder: Decoder
    likelihood: Likelihood
    content_dim: int
    told: int
    pose_dim: int
    points: bool


def trained_codes(option: str, folder: str, data: DataSpec, *, draws: bool = True) -> TrainedCodes:
    """Return encoders and decoder of a run of `drnet` or `static-dynamic`, frozen.

    Args:
        option: Name of the option that names the run.
        folder: The run's folder.
        data: The data that they are to be used on.
        draws: Whether codes that are Normals are drawn from; otherwise they are points, the means.

    Raises:
        OptionError: If the folder holds no such run, or one of other frames.
    """
    name, parts = trained_parts(option, folder)
    model: Any = parts.model
    guide: Any = parts.guide
    if isinstance(guide, guides.DrNet):
        codes: DrNetCodes | StaticDynamicCodes | MeanCodes = DrNetCodes(guide)
        told: int = guide.content_encoder.latent_dim  # pyright: ignore
        points: bool = guide.pose_encoder.points  # pyright: ignore
    elif isinstance(model, models.StaticDynamic):
        codes, told, points = StaticDynamicCodes(guide), model.static_dim, False
    else:
        raise OptionError(
            f"{option} is {folder}, a run of {name}; expected one of drnet or static-dynamic, "
            "which tell content and poses of frames. Train one of them first"
        )
    decoder: Any = model.decoder
    if tuple(decoder.shape) != tuple(data.shape):
        raise OptionError(
            f"{option} is {folder}, of frames of shape {tuple(decoder.shape)}; expected "
            f"{tuple(data.shape)}. Train on the frames of these data"
        )
    if not (draws or points):
        codes, points = MeanCodes(codes), True
    for module in (codes, decoder):
        module.requires_grad_(False)
    pose_dim = decoder.latent_dim - model.static_dim
    return TrainedCodes(codes, decoder, parts.likelihood, model.static_dim, told, pose_dim, points)
