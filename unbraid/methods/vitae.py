"""VITAE: options and construction that U-VITAE and C-VITAE share."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from unbraid import guides, models
from unbraid.inference import Constant, Hold, Hook, LinearWarmup, Weight
from unbraid.nets import Likelihood, mlp
from unbraid.transforms import Transform, make_transform

from .image_nets import NetOptions
from .method import DataSpec, Parts
from .options import OptionError, in_range

CITATION = """@inproceedings{detlefsen2019explicit,
  title = {Explicit Disentanglement of Appearance and Perspective in Generative Models},
  author = {Detlefsen, Nicki Skafte and Hauberg, S{\\o}ren},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {32},
  year = {2019}
}"""

NEAR_IDENTITY = 0.1


@dataclass(frozen=True)
class Options(NetOptions):
    """Options of VITAE.

    Args:
        likelihood: `auto` follows the data: bernoulli (binary), continuous-bernoulli (grey),
            normal-learned (colour). Otherwise one of these, bernoulli-grey (the cross-entropy of
            grey values, no likelihood), or normal: those whose mean is an image, to be warped.
        appearance_dim: Number of appearance coordinates, 1 to 4096.
        perspective_dim: Number of perspective coordinates, 1 to 4096.
        transform: The warp: translation, rotation, similarity, affine, cpab, or several joined by
            `+`, such as similarity+cpab.
        cells: Columns and rows of the grid of cells of cpab, comma-separated.
        padding: What lies outside of an image: border, zeros or reflection.
        perspective_hidden: Widths of the hidden layers from the perspective to the warp's
            parameters, comma-separated.
        warmup: Steps over which the divergences' weight rises from 0 to 1, the appearance's to
            `appearance_beta`; 0 for none.
        appearance_beta: Weight of the appearance's divergence, at least 0. Above 1, as in the
            beta-VAE (Higgins et al. 2017, eq. 4), what a warp can say is left to the perspective.
        appearance_warmup: Steps over which the weight of the appearance's divergence goes from
            `appearance_warmup_from` to `appearance_beta`, in place of `warmup`; 0 for none.
        appearance_warmup_from: What it starts from, at least 0. Above 1, what a warp can say is
            cheaper in the perspective at first.
        scale_warmup: Steps for which the scale of likelihood normal-learned stays at `scale`.
        code_spread: Standard deviation that the outputs of the decoder's first layer start with;
            0 for Glorot's rule, which makes them small where there are few codes.
    """

    appearance_dim: int = 8
    perspective_dim: int = 4
    transform: str = "affine"
    cells: tuple[int, ...] = (2, 4)
    padding: Literal["border", "zeros", "reflection"] = "border"
    perspective_hidden: tuple[int, ...] = (64,)
    warmup: int = 0
    appearance_beta: float = 1.0
    appearance_warmup: int = 0
    appearance_warmup_from: float = 0.0
    scale_warmup: int = 0
    code_spread: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("appearance_dim", self.appearance_dim, 1, 4096)
        in_range("perspective_dim", self.perspective_dim, 1, 4096)
        for width in self.perspective_hidden:
            in_range("perspective_hidden", width, 1, 65_536)
        if len(self.cells) != 2:
            shown = ",".join(map(str, self.cells))
            raise OptionError(f"cells is {shown}; expected two numbers, columns and rows: 2,4")
        for count in self.cells:
            in_range("cells", count, 1, 1000)
        in_range("warmup", self.warmup, 0)
        in_range("appearance_beta", self.appearance_beta, 0.0)
        in_range("appearance_warmup", self.appearance_warmup, 0)
        in_range("appearance_warmup_from", self.appearance_warmup_from, 0.0)
        in_range("scale_warmup", self.scale_warmup, 0)

    def make_likelihood(self, data: DataSpec) -> Likelihood:
        """Make a likelihood that a mean image determines: only such an image can be warped."""
        colour = self.likelihood == "auto" and data.kind == "colour"
        return (
            self.named_likelihood("normal-learned", data)
            if colour
            else super().make_likelihood(data)
        )

    def make_transform(self, data: DataSpec) -> Transform:
        """Make the warp for the data's images."""
        options = {"cells": self.cells} if "cpab" in self.transform.split("+") else {}
        try:
            return make_transform(self.transform, data.shape, padding=self.padding, **options)
        except ValueError as error:
            raise OptionError(str(error)) from error


def build(options: Options, data: DataSpec, conditional: bool) -> Parts:
    """Build the pair for the given data.

    Args:
        options: Nets, sizes and warp.
        data: What the images are.
        conditional: C-VITAE, whose guide un-warps the image first; else U-VITAE.
    """
    options.require_images(data)
    likelihood = options.make_likelihood(data)
    _require_mean(likelihood)
    transform = options.make_transform(data)
    decoder = options.make_decoder(data, options.appearance_dim, likelihood)
    perspective_decoder = _near_identity(options, transform)
    return Parts(
        model=models.VITAE(
            decoder,
            perspective_decoder,
            transform,
            options.appearance_dim,
            options.perspective_dim,
        ),
        guide=guides.VITAE(
            options.make_encoder(data, options.perspective_dim),
            options.make_encoder(data, options.appearance_dim),
            perspective_decoder,
            transform,
            conditional,
        ),
        likelihood=likelihood,
        weights=_weights(options),
        hooks=_variance_switch(options, likelihood),
    )


def _weights(options: Options) -> dict[str, Weight]:
    weights: dict[str, Weight] = {}
    if options.warmup:
        weights["kl"] = LinearWarmup(options.warmup)
    beta, steps, start = options.appearance_beta, options.warmup, 0.0
    if options.appearance_warmup:
        steps, start = options.appearance_warmup, options.appearance_warmup_from
    elif beta == 1:
        return weights
    weights["appearance"] = LinearWarmup(steps, start, beta) if steps else Constant(beta)
    return weights


def _near_identity(options: Options, transform: Transform) -> nn.Sequential:
    """Make the net from perspectives to gamma, which warps by little at first."""
    sizes = (options.perspective_dim, *options.perspective_hidden, transform.parameter_count)
    net = mlp(sizes, options.activation)
    last = net[-1]
    with torch.no_grad():
        last.get_parameter("weight").mul_(NEAR_IDENTITY)
    return net


def _variance_switch(options: Options, likelihood: Likelihood) -> tuple[Hook, ...]:
    if not options.scale_warmup:
        return ()
    parameters = tuple(likelihood.parameters())
    if not parameters:
        raise OptionError(
            f"scale_warmup is {options.scale_warmup}, but likelihood {likelihood.name} learns no "
            "scale; expected 0. Leave it out, or set likelihood=normal-learned"
        )
    return (Hold(parameters, options.scale_warmup),)


def _require_mean(likelihood: Likelihood) -> None:
    try:
        likelihood.from_mean(torch.full((likelihood.channels, 1, 1), 0.5))
    except ValueError as error:
        raise OptionError(str(error)) from error
