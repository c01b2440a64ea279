"""The scene discriminator: whether two poses are of one clip, which a pose is not to tell."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .adversary import Adversary
from .critic_schedule import CriticSchedule
from .examples import Labelled
from .exchanged import exchanged_sites
from .hooks import Batch
from .standardised import standardised_codes
from .target_rules import Rule
from .terms import Terms
from .weights import Weight

SAME, OTHER = 1, 0
"""The labels of pairs of poses: of one clip, of two clips."""


def pose_pairs(terms: Terms, batch: Batch, site: str, standardised: bool) -> tuple[Tensor, Tensor]:
    """Return two poses of each clip, both `(..., B, N, Z)`; the first is a constant.

    The first is of a companion, the second of a frame, whose graph it has. Companion `t` modulo
    their number goes with frame `t`. Where they are standardised, each of the two is so by itself.

    Raises:
        ValueError: If the batch has no companions or a single clip, or the site is none of frames.
    """
    second = _single(terms[site].value)
    plates = [plate.name for plate in terms[site].model_site.plates]
    if second.dim() < 3 or "frames" not in plates:
        raise ValueError(
            f"site {site!r} is in plates {', '.join(plates) or 'none'}; expected a code per "
            "frame, in 'data' and 'frames'. Choose another site"
        )
    clips, frames = second.shape[-3:-1]
    if clips < 2:
        raise ValueError(
            f"the batch holds {clips} clip; expected at least 2, since pairs of different clips "
            "are needed. Use a larger batch (--batch-size), or more clips"
        )
    first = _single(exchanged_sites(terms, batch)[site].value)
    if standardised:
        first, second = standardised_codes(first), standardised_codes(second)
    if first.shape[-2] != frames:
        place = torch.arange(frames, device=first.device) % first.shape[-2]
        first = first.index_select(-2, place)
    return first, second


@dataclass(frozen=True)
class SameScene:
    """Pairs of poses of one clip, of which the second is moved: what a pose encoder answers for.

    Args:
        site: A latent site of frames, event `(Z,)`, of a guide called `guide(x, length,
            companions)`.
        standardised: Whether poses are standardised over the batch first.

    Source: Denton & Birodkar (2017), section 3.1, https://arxiv.org/abs/1705.10915, and its code,
    where the gradient reaches one pose of the two.
    """

    site: str
    standardised: bool = True

    @property
    def sites(self) -> tuple[str, ...]:  # noqa: D102
        return (self.site,)

    def __call__(self, terms: Terms, batch: Batch, reference: bool) -> Labelled:  # noqa: D102
        pairs = pose_pairs(terms, batch, self.site, self.standardised)
        first, second = (rows.flatten(0, -2) for rows in pairs)
        return Labelled((first, second), torch.full_like(first[:, 0], SAME, dtype=torch.int64))


class SceneDiscriminator(Adversary):
    """A critic of pairs of poses, and a penalty on poses that tell it which clip they are of.

    The critic sees, of every clip, two poses of it, label 1, and a pose of it beside one of
    another clip, label 0; which other is drawn at every step. Where the batch has an `index`, two
    rows of one clip count as such. The pair is to leave the critic undecided about poses of one
    clip: `rule` `uniform`, as published, is the cross-entropy against the target 1/2. The gradient
    reaches one pose of the two, nothing else.

    Small poses would escape a critic that learns slowly, at no cost to a decoder that takes them
    large. So it sees them standardised over the batch, as the published code's are, whose encoders
    end in a batch normalisation.

    Source: Denton & Birodkar (2017), section 3.1, https://arxiv.org/abs/1705.10915.

    Args:
        site: A latent site of frames, event `(Z,)`, of a guide called `guide(x, length,
            companions)`.
        critic: Maps two poses, each `(n, Z)`, to the log-odds `(n, 1)` that they are of one clip.
        weight: Weight of the penalty, a number of at least 0 or a schedule.
        rule: The pair's aim: uniform, reverse or flip.
        standardised: Whether poses are standardised over the batch first.
        schedule: How the critic is trained: one step per step of the pair unless given.
        optimizer: Makes the critic's optimiser; that of `Adversary` unless given.
        name: Name of its part of the loss.

    Raises:
        ValueError: If a number is none of the accepted.

    Example:
        >>> SceneDiscriminator("dynamic", MLPCritic(2 * 10, (100, 100)), 0.1)
    """

    def __init__(
        self,
        site: str,
        critic: nn.Module,
        weight: float | Weight = 1.0,
        *,
        rule: Rule = "uniform",
        standardised: bool = True,
        schedule: CriticSchedule | None = None,
        optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
        name: str = "scene",
    ) -> None:
        super().__init__(
            name,
            SameScene(site, standardised),
            critic,
            rule,
            weight,
            schedule=schedule,
            optimizer=optimizer,
        )
        self.standardised = standardised

    def critic_inputs(self, terms: Terms, batch: Batch) -> list[tuple[Tensor, ...]]:
        """Return pairs of one clip and of two, with labels, of each of the critic's steps."""
        first, second = pose_pairs(terms, batch, self.sites[0], self.standardised)
        index = batch.get("index")
        return [_both_kinds(first, second, index) for _ in range(self.critic_steps)]


def _both_kinds(first: Tensor, second: Tensor, index: Tensor | None) -> tuple[Tensor, ...]:
    """As many pairs of two clips behind those of one, as rows, and their labels."""
    clips = first.shape[-3]
    places = torch.arange(clips, device=first.device)
    other = (places + torch.randint(1, clips, (1,), device=first.device)) % clips
    ids = places if index is None else index
    labels = torch.where(ids[other] == ids, SAME, OTHER).unsqueeze(-1)
    labels = labels.expand(first.shape[:-1])
    pairs = torch.cat([first, first.index_select(-3, other)]), torch.cat([second, second])
    rows = tuple(part.flatten(0, -2).detach() for part in pairs)
    return (*rows, torch.cat([torch.full_like(labels, SAME), labels]).flatten())


def _single(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
