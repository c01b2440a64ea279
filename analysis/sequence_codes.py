"""Codes of sequences: what the guide says of each sequence, and of each of its frames."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from unbraid.inference import Program, Site

from .latents import Batch, arguments
from .passes import sites_at_points, spread_of, undisturbed

CHUNK = 512  # frames that are encoded together, unless one sequence has more


class SequenceSites(NamedTuple):
    """The names of the sites of a pair of sequences.

    Sites that are named nowhere are at the model's mean given the others when codes are decoded:
    so the frames' `content` of a factorised hierarchy follows the `static` of its sequence.

    Args:
        static: The latent site of each sequence, batch `(B, 1)`, event `(F,)`.
        dynamic: The latent site of each frame, batch `(B, N)`, event `(Z,)`.
        observed: The site of the frames, batch `(B, N)`, event `(C, H, W)`.
        layers: Further latent sites of each frame, which go where `dynamic` goes, such as the
            lower layers of a neural statistician.
    """

    static: str = "static"
    dynamic: str = "dynamic"
    observed: str = "x"
    layers: tuple[str, ...] = ()

    @property
    def of_frames(self) -> tuple[str, ...]:
        """The latent sites of each frame."""
        return (self.dynamic, *self.layers)


SITES = SequenceSites()


@dataclass(frozen=True, eq=False)
class SequenceCodes:
    """The guide's means and standard deviations for `S` sequences, on the host.

    Attributes:
        static: Means `(S, F)`.
        dynamic: Means `(S, T, Z)`; 0 where there is padding.
        mask: Which frames are true and which are padding, bool `(S, T)`; the true ones come first.
        static_scale: Standard deviations `(S, F)`; 0 where the guide's distribution has none.
        dynamic_scale: Standard deviations `(S, T, Z)`, likewise; 0 where there is padding.
        layers: Means `(S, T, K)` of the further sites of frames, by name.
    """

    static: Tensor
    dynamic: Tensor
    mask: Tensor
    static_scale: Tensor
    dynamic_scale: Tensor
    layers: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.static)

    @property
    def lengths(self) -> Tensor:
        """Number of true frames of each sequence, int64 `(S,)`."""
        return self.mask.sum(1)

    @property
    def frames(self) -> Tensor:
        """Sequence and place of every true frame, int64 `(M, 2)`, in the order of `[mask]`."""
        return self.mask.nonzero()

    def take(self, indices: Sequence[int] | Tensor) -> "SequenceCodes":
        """Return the codes of some of the sequences, in the order of `indices`."""
        chosen = torch.as_tensor(indices)
        return SequenceCodes(
            self.static[chosen],
            self.dynamic[chosen],
            self.mask[chosen],
            self.static_scale[chosen],
            self.dynamic_scale[chosen],
            {name: code[chosen] for name, code in self.layers.items()},
        )


def sequence_codes(
    model: Program,
    guide: Program,
    batches: Iterable[Batch | Mapping[str, Any]],
    keys: Sequence[str] = ("x",),
    *,
    sites: SequenceSites = SITES,
    seed: int = 0,
) -> SequenceCodes:
    """Return the codes of every sequence and every frame.

    The guide runs with every site at its mean, so that a dynamic code that depends on the static
    one carries none of its noise.

    Args:
        model: The generative program; it only leaves training mode, as it may share nets.
        guide: The inference program.
        batches: Mappings, as `Batches` gives them; or the arguments themselves, sequences
            `(B, N, C, H, W)` first and, where they are ragged, their lengths, int64 `(B,)`,
            second. `N` may differ between batches.
        keys: What the guide takes of a mapping, in order. Where a mapping has a `length`, frames
            beyond it are padding.
        sites: The names of the pair's sites.
        seed: Seed of what has no mean and is sampled.

    Raises:
        ValueError: If there are no batches, they hold no sequences, or the guide has no such site.
    """
    parts: list[SequenceCodes] = []
    with undisturbed(model, guide, seed=seed):
        for batch in batches:
            if isinstance(batch, Mapping):
                args, length = tuple(batch[key] for key in keys), batch.get("length")
            else:
                args = arguments(batch)
                length = length_of(args) if _takes_lengths(guide) else None
            parts.append(_encoded(guide, args, length, sites))
    if not parts:
        raise ValueError("batches is empty; expected at least one batch. Give some sequences.")
    longest = max(part.mask.shape[1] for part in parts)
    fit = [_lengthened(part, longest) for part in parts]
    return SequenceCodes(
        torch.cat([part.static for part in fit]),
        torch.cat([part.dynamic for part in fit]),
        torch.cat([part.mask for part in fit]),
        torch.cat([part.static_scale for part in fit]),
        torch.cat([part.dynamic_scale for part in fit]),
        {name: torch.cat([part.layers[name] for part in fit]) for name in sites.layers},
    )


def codes_of(
    model: Program, guide: Program, args: tuple[Any, ...], sites: SequenceSites, seed: int
) -> SequenceCodes:
    """Return the codes of the arguments of a pair, encoded a few sequences at a time."""
    return sequence_codes(model, guide, chunks(args), sites=sites, seed=seed)


def chunks(args: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Split the arguments of a pair into batches of a few sequences.

    Raises:
        ValueError: If they are no sequences.
    """
    size, frames = checked_sequences(args).shape[:2]
    count = max(1, CHUNK // frames)
    return [chosen(args, list(range(s, min(s + count, size)))) for s in range(0, size, count)]


def chosen(args: tuple[Any, ...], indices: Sequence[int]) -> tuple[Any, ...]:
    """Return the arguments of some of the sequences; what is not per sequence stays.

    Raises:
        ValueError: If there is no such sequence.
    """
    size = len(checked_sequences(args))
    for index in indices:
        if not 0 <= index < size:
            raise ValueError(
                f"sequence {index} is asked for; expected 0 to {size - 1}. "
                "Choose one of those that are given."
            )
    return tuple(
        a[torch.as_tensor(indices, device=a.device)]
        if isinstance(a, Tensor) and a.shape[:1] == (size,)
        else a
        for a in args
    )


def _takes_lengths(guide: Program) -> bool:
    """Whether what follows `x` is lengths: a pair of even sequences may take their index there."""
    return getattr(guide, "ragged", True) is not False


def length_of(args: tuple[Any, ...]) -> Tensor | None:
    """Return the lengths `(S,)` among the arguments of a pair; None where all frames are true."""
    second = args[1] if len(args) > 1 else None
    given = isinstance(second, Tensor) and not second.is_floating_point() and second.dim() == 1
    return second if given else None


def checked_sequences(args: tuple[Any, ...]) -> Tensor:
    """Return the sequences `(S, T, C, H, W)` among the arguments of a pair.

    Raises:
        ValueError: If the first argument holds no sequences.
    """
    x = args[0] if args else None
    if not isinstance(x, Tensor) or x.dim() != 5 or 0 in x.shape:
        found = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(
            f"x is {found}; expected sequences (S, T, C, H, W) with at least one frame. "
            "Images have no dynamics: give the frames of each sequence on an axis of their own."
        )
    return x


def _encoded(
    guide: Program, args: tuple[Any, ...], length: Tensor | None, sites: SequenceSites
) -> SequenceCodes:
    x = checked_sequences(args)
    size, frames = x.shape[:2]
    mask = torch.ones(size, frames, dtype=torch.bool)
    if length is not None:
        mask = torch.arange(frames) < length.cpu().unsqueeze(1)
    found = sites_at_points(guide, args)
    static, static_scale = _mean_and_scale(found, sites.static, (size, 1))
    padding = ~mask.unsqueeze(-1)
    by_frame = {
        name: [part.masked_fill(padding, 0) for part in _mean_and_scale(found, name, mask.shape)]
        for name in sites.of_frames
    }
    dynamic, dynamic_scale = by_frame[sites.dynamic]
    layers = {name: by_frame[name][0] for name in sites.layers}
    return SequenceCodes(static[:, 0], dynamic, mask, static_scale[:, 0], dynamic_scale, layers)


def _mean_and_scale(
    found: Mapping[str, Site], name: str, batch: Sequence[int]
) -> tuple[Tensor, Tensor]:
    if name not in found:
        raise ValueError(
            f"the guide has no site {name!r}; expected one of {', '.join(found) or '(none)'}. "
            "Name the sites of the pair by SequenceSites."
        )
    value = found[name].value
    if value.dim() != 3 or value.shape[:2] != torch.Size(batch):
        raise ValueError(
            f"site {name!r} is {tuple(value.shape)}; expected {(*batch, 'K')}, a vector for each "
            f"{'sequence' if batch[1] == 1 else 'frame'}. Name another site by SequenceSites."
        )
    return value.cpu(), spread_of(found[name].fn).expand_as(value).cpu()


def _lengthened(codes: SequenceCodes, frames: int) -> SequenceCodes:
    """The same codes with as many frames, the new ones padding."""
    more = frames - codes.mask.shape[1]
    if not more:
        return codes
    return SequenceCodes(
        codes.static,
        pad(codes.dynamic, (0, 0, 0, more)),
        pad(codes.mask, (0, more)),
        codes.static_scale,
        pad(codes.dynamic_scale, (0, 0, 0, more)),
        {name: pad(code, (0, 0, 0, more)) for name, code in codes.layers.items()},
    )
