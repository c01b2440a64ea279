"""Passes of a pair for pictures and statistics: no gradients, no dropout, no trace left behind."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger, unwrap
from pyro.poutine.runtime import NonlocalExit
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor, nn
from torch.distributions import Distribution

from unbraid.inference import (
    Program,
    Runner,
    Site,
    Terms,
    device_of,
    in_mode,
    mask_of,
    modules_of,
    require_tensors,
    told_of_bytes,
)

FRAMES = 256  # frames that are decoded together


class NoSamplesError(ValueError):
    """A model draws no images, or has no prior to draw them from."""


def reseed(seed: int) -> None:
    """Seed torch's generators, but none of a GPU that nobody has asked for yet.

    `torch.manual_seed` would leave this seed for when CUDA starts, in place of the user's.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


@contextmanager
def undisturbed(*programs: Program, seed: int) -> Iterator[None]:
    """Run without gradients, in evaluation mode and from `seed`; put modes and random state back.

    Args:
        *programs: Models and guides, within handlers of Pyro or without; functions have no mode.
        seed: Seed of all of torch's generators.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    mode = in_mode(False, modules_of(*programs))
    with torch.no_grad(), mode, torch.random.fork_rng(devices):
        reseed(seed)
        yield


def run(model: Program, guide: Program, args: tuple[Any, ...]) -> Terms:
    """Run a pair once, where its parameters are; discrete sites are sampled, not summed out."""
    runner, args = Runner(), placed(args, model, guide)
    with told_of_bytes(args):
        model_sites, guide_sites = runner.run_pair(model, guide, args)
    return Terms(model_sites, guide_sites, runner, model, guide, args)


def placed(args: tuple[Any, ...], *programs: Program) -> tuple[Any, ...]:
    """Arguments on the device of the programs' parameters, so that data may lie elsewhere."""
    require_tensors(args)
    tensors = [a for a in args if isinstance(a, Tensor)]
    if not tensors:
        return args
    place = device_of(*programs, default=tensors[0].device)
    return tuple(a.to(place) if isinstance(a, Tensor) else a for a in args)


def shared_latents(terms: Terms) -> tuple[str, ...]:
    """Return the latent sites that the guide has too."""
    return tuple(name for name in terms.latents if terms[name].q is not None)


def is_discrete(distribution: Distribution) -> bool:
    """Return whether a distribution's values are discrete; False where it does not say."""
    try:
        return bool(getattr(distribution.support, "is_discrete", False))
    except NotImplementedError:
        return False


def point_codes(terms: Terms) -> dict[str, Tensor]:
    """Return one code per datum and site of the guide.

    The guide runs once more with every site at its point, so that sites which depend on others,
    such as an appearance that is inferred from the image un-warped, carry none of their noise.

    Returns:
        By site, `(batch, event)`: the mean of q, its mode where the site is discrete, and a sample
        where q has neither.
    """
    with _AtPoints():
        sites = terms.encode(*terms.args)
    return {name: sites[name].value for name in shared_latents(terms)}


def sites_at_points(
    program: Program, args: tuple[Any, ...], values: Mapping[str, Tensor] | None = None
) -> Mapping[str, Site]:
    """Run a program with the latent sites that `values` lack at their mean or mode.

    Returns:
        Its sites by name.
    """
    with _AtPoints(), told_of_bytes(args):
        return Runner().run(program, placed(args, program), values).sites


def distribution_at(
    program: Program, args: tuple[Any, ...], values: Mapping[str, Tensor], name: str
) -> Distribution:
    """Return the distribution of a site, without running the program beyond it.

    A model is not asked for the images of codes where only their prior is wanted.

    Args:
        program: A model or a guide.
        args: Its arguments.
        values: Values of sites before it; others are at their mean or mode.
        name: The site.

    Raises:
        KeyError: If there is no such site.
    """

    def is_reached(msg: Any) -> bool:
        return msg["name"] == name

    reaching = poutine.escape(poutine.condition(program, data=dict(values)), is_reached)
    try:
        with _AtPoints():
            reaching(*placed(args, program))
    except NonlocalExit as reached:
        site: Any = reached.site
        return site["fn"]
    raise KeyError(f"no site {name!r}")


class _AtPoints(Messenger):
    """Give every latent site the mean or mode of its distribution instead of a sample."""

    # Messages are Any: Pyro's own type leaves every key of them optional.
    def _pyro_sample(self, msg: Any) -> None:
        if msg["is_observed"] or msg["done"] or type(msg["fn"]) is _Subsample:
            return
        point = _finite(msg["fn"], "mode" if is_discrete(msg["fn"]) else "mean")
        if point is not None:
            msg["value"], msg["done"] = point, True


def _finite(distribution: Distribution, name: str) -> Tensor | None:
    """The distribution's property of this name, or None where it has none or a NaN one."""
    try:
        value = getattr(distribution, name)
    except (NotImplementedError, AttributeError):
        return None
    return value if bool(torch.isfinite(value).all()) else None


def spread_of(distribution: Distribution) -> Tensor:
    """Return the standard deviation, `(batch, event)`; 0 where there is none."""
    spread = _finite(distribution, "stddev")
    return torch.zeros_like(distribution.sample()) if spread is None else spread


def prior_moments(prior: Distribution) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, `(batch, event)`; 0 and 1 where there are none."""
    mean, scale = _finite(prior, "mean"), _finite(prior, "stddev")
    like = prior.sample()
    if scale is None:
        scale = torch.ones_like(like)
    mean = torch.zeros_like(like) if mean is None else mean
    return mean, torch.where(scale > 0, scale, torch.ones_like(scale))


def mean_images(distribution: Distribution, site: str) -> Tensor:
    """Return the mean images of an image site, or a sample where it has no mean.

    Args:
        distribution: Of the site, event `(C, H, W)`; of several frames the first is shown.
        site: Name of the site, for the message.

    Returns:
        Images `(B, C, H, W)`, cut to [0, 1].

    Raises:
        ValueError: If the site holds no images.
    """
    if len(distribution.event_shape) != 3:
        raise ValueError(
            f"site {site!r} has event shape {tuple(distribution.event_shape)}; expected the "
            "(C, H, W) of an image. Name the site of the images, or call .to_event(3) on it."
        )
    images = _finite(distribution, "mean")
    if images is None:
        images = distribution.sample()
    batch = images.shape[0] if images.dim() > 3 else 1
    return images.reshape(batch, -1, *images.shape[-3:])[:, 0].clamp(0, 1)


def first_data(args: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """Return the arguments for the first `count` data; what is not per datum stays."""
    size = len(args[0])
    return tuple(a[:count] if _is_per_datum(a, size) else a for a in args)


def first_datum(args: tuple[Any, ...], count: int = 1) -> tuple[Any, ...]:
    """Return the arguments for `count` copies of the first datum; what is not per datum stays."""
    size = len(args[0])
    return tuple(a[:1].expand(count, *a.shape[1:]) if _is_per_datum(a, size) else a for a in args)


def _is_per_datum(argument: Any, size: int) -> bool:
    return isinstance(argument, Tensor) and argument.shape[:1] == (size,)


def decode(
    model: Program,
    guide: Program,
    args: tuple[Any, ...],
    codes: Mapping[str, Tensor],
    site: str,
) -> Tensor:
    """Decode codes with the model, wherever it keeps its decoder.

    Args:
        model: The generative program.
        guide: The inference program.
        args: The arguments of both, of as many data as there are codes.
        codes: Values by latent site, which broadcast to that site's values.
        site: The site of the images.

    Returns:
        Mean images `(B, C, H, W)` in [0, 1]; of sequences, their first frames.
    """
    if takes_frames(model):
        size = len(args[0])
        firsts = {name: code[:, :1] for name, code in codes.items()}
        values = {name: code.expand(size, *code.shape[1:]) for name, code in firsts.items()}
        runs = frames_of(model, size, values)
        return torch.cat([mean_images(sites[site].fn, site) for sites in runs])
    terms = run(model, guide, args)
    values = {name: code.expand_as(terms[name].value) for name, code in codes.items()}
    return mean_images(terms.replay(values)[site].p, site)


def sample_prior(
    model: Callable[..., Any], size: int, conditions: tuple[Any, ...], site: str
) -> Tensor:
    """Return the mean images `(size, C, H, W)` of codes that the model samples.

    Of a model of sequences they are one frame of each; the lengths are no conditions of it.

    Raises:
        NoSamplesError: If the model draws no such images, or codes of it have no prior.
    """
    if takes_frames(model):
        sites = Runner().run(partial(model, size=size, frames=1), ()).sites
    else:
        sites = Runner().run(partial(model, size=size), (None, *conditions)).sites
    why_not = no_samples(sites, site)
    if why_not is not None:
        raise NoSamplesError(why_not)
    return mean_images(sites[site].fn, site)


def no_samples(sites: Mapping[str, Site], site: str) -> str | None:
    """Say why a model has no samples from its prior; None where it has.

    Args:
        sites: The model's sites.
        site: The site of the images.
    """
    if site not in sites:
        return (
            f"site is {site!r}, which the model does not draw; it draws {', '.join(sites)}. "
            "Draw from a model that has images"
        )
    without = [name for name, of in sites.items() if not of.observed and mask_of(of) is False]
    if without:
        return (
            f"latent site {without[0]!r} is masked out, so that it has no prior to draw from. "
            "Draw from a model whose codes all have a prior, or look at reconstructions"
        )
    return None


def takes_frames(model: Program) -> bool:
    """Return whether a model samples sequences: it is told the number of `frames`."""
    inner = unwrap(model)
    called = inner.forward if isinstance(inner, nn.Module) else inner
    return "frames" in inspect.signature(called).parameters


def frames_of(
    model: Callable[..., Any], size: int, values: Mapping[str, Tensor], *, points: bool = True
) -> Iterator[Mapping[str, Site]]:
    """Run a model of sequences on sequences of one frame each, a bounded number at a time.

    Args:
        model: The generative program, which `takes_frames`.
        size: Number `M` of sequences.
        values: Values `(M, 1, event)` by latent site.
        points: Whether the other latent sites are at their mean or mode, or are sampled.

    Yields:
        Sites by name, with batch `(m, 1)`; the `m` add up to `M`.
    """
    for start in range(0, size, FRAMES):
        part = {name: value[start : start + FRAMES] for name, value in values.items()}
        sampled = partial(model, size=min(FRAMES, size - start), frames=1)
        if points:
            yield sites_at_points(sampled, (), part)
        else:
            yield Runner().run(sampled, (), part).sites
