"""Importance-sampled log-likelihoods of any pair, with the guide as the proposal.

The guide may be widened or mixed with the prior first (see `proposal`). The estimate of a datum is
`log mean_k w_k` with `w_k = p(x, z_k) / q(z_k | x)`, `z_k ~ q(z | x)`: a lower bound of `log p(x)`
in expectation that rises to it with the number of samples. Objective weights and loss hooks have
no part in it.

Source: Burda, Grosse & Salakhutdinov (2016), https://arxiv.org/abs/1509.00519, eq. 8.
"""

import math
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor

from unbraid.nets import Likelihood

from .blocks import BLOCK, Data, blocks, padded
from .chunks import ChunkEvaluator
from .device import device_of
from .eligibility import Layout, require_likelihood, require_nested
from .evaluating import (
    checked,
    likelihoods_of,
    own_noise,
)
from .guide_draws import UNIT, GuideDraws
from .importance import WeightStatistics, WeightStream, group_sizes
from .log_likelihood_result import LogLikelihood
from .mixture_draws import MixtureDraws
from .partial_results import PartialResults, fingerprint
from .proposal import Proposal, WidenedGuide, has_normals, require_proposal
from .sites import Program, in_mode, modules_of, owner
from .whole_numbers import whole_number


def log_likelihood(
    model: Program,
    guide: Program,
    data: Data,
    *,
    keys: Sequence[str] = ("x",),
    samples: int = 5000,
    inner_samples: int = 1,
    seed: int = 0,
    proposal: Proposal | None = None,
    rows: int = 2048,
    device: str | torch.device | None = None,
    compile: bool = False,
    likelihood: Likelihood | None = None,
    resume: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> LogLikelihood:
    """Estimate log-likelihoods by importance sampling with the guide as the proposal.

    The numbers depend on the pair, the data and their order, `samples`, `inner_samples`, `seed`
    and `proposal`; neither the batches that the data come in nor `rows` change more than rounding.
    The first data of many get the numbers that they get alone, and fewer samples are the first
    ones of more. Memory does not grow with `samples`, and with the data by their results alone.

    Discrete sites that model or guide enumerate are summed out exactly; what is left is sampled.
    Modules are put in evaluation mode for the while.

    Args:
        model: The generative program.
        guide: The inference program, called with the same arguments.
        data: An iterable of batches (mappings of tensors), one such mapping, or a tensor of
            images.
        keys: The entries of a batch that the pair is called with, in order.
        samples: Number `K` of samples per datum, at least 1.
        inner_samples: Samples of the sites in a plate inside the data's, such as one code per
            frame, for each sample of the others, at least 1. With more than one, each frame's
            weights are averaged before the frames are multiplied: many frames then need far fewer
            samples. The frames must be independent given the other sites.
        seed: Seed of the noise, at least 0. The global random state is left as it was.
        proposal: What the samples are drawn from; the guide as it is unless given. A share of the
            prior is a mixture of whole data, all latents together; it needs `inner_samples` 1 and
            no site that is enumerated.
        rows: Images that the model decodes at a time; halved, with a warning, when memory runs
            out.
        device: Where the data are moved to; where the pair's parameters are, unless given.
        compile: Whether the model's density is compiled: some 20 s more at the start, less time
            for each sample.
        likelihood: Checks the data and says whether they are discrete; the model's own, unless
            given.
        resume: File for partial results. One that is there is gone on with; it stays, complete, at
            the end.
        progress: Called with the number of data done after each block.

    Returns:
        The log-likelihoods, float64 in nats, with diagnostics.

    Raises:
        NoLikelihoodError: If the pair has no likelihood per datum; says why, and what can be had
            instead.
        PairError: If model and guide do not fit each other.
        ValueError: If a number is out of range, the proposal cannot be had of this pair, or the
            data are not what the likelihood is of.
        CheckpointError: If the file at `resume` is of something else.
    """
    samples = whole_number("samples", samples, 1)
    inner_samples = whole_number("inner_samples", inner_samples, 1)
    rows, seed = whole_number("rows", rows, 1), whole_number("seed", seed, 0)
    chosen = Proposal() if proposal is None else proposal
    modules = modules_of(model, guide)
    place = torch.device(device) if device is not None else device_of(*modules)
    likelihoods = [likelihood] if likelihood is not None else likelihoods_of(model)
    settings = {
        "keys": list(keys),
        "samples": [samples, inner_samples, seed, UNIT, BLOCK],
        "device": place.type,
        "pair": [type(owner(program)).__qualname__ for program in (model, guide)],
        "weights": fingerprint(modules) if resume is not None else "",
    }
    if not chosen.is_guide:
        settings["proposal"] = [chosen.widen, chosen.of_prior]
    results = PartialResults(resume, settings)
    done = 0
    with torch.no_grad(), in_mode(False, modules), results.saved_at_exit():
        stream = checked(blocks(data, keys), place, likelihoods)
        first = next(stream)
        with own_noise(place):
            layout = require_likelihood(model, guide, padded(first), BLOCK)
        require_nested(layout, inner_samples)
        with own_noise(place):
            require_proposal(chosen, guide, padded(first), layout, inner_samples)
            can_widen = has_normals(guide, padded(first), layout)
        drawn_from = guide if chosen.widen == 1 else WidenedGuide(guide, chosen.widen)
        share = chosen.of_prior / UNIT
        evaluator = ChunkEvaluator(model, layout, inner_samples, rows, compile, share)
        for index, block in enumerate(chain([first], stream)):
            if not results.has(block):
                noise = (seed, index)
                if chosen.of_prior:
                    draws = MixtureDraws(model, drawn_from, block, layout, noise, chosen.of_prior)
                else:
                    draws = GuideDraws(drawn_from, block, layout, inner_samples, noise)
                with own_noise(place), pyro.validation_enabled(False):
                    found = _evaluate(evaluator, draws, block, samples)
                results.add(torch.cat([torch.stack(found[:-1]), found.bounds]))
            done += len(block[0])
            if progress is not None:
                progress(done)
    return _result(
        results.finish(),
        layout,
        likelihoods,
        samples=samples,
        inner_samples=inner_samples,
        seed=seed,
        proposal=chosen,
        has_normals=can_widen,
    )


def _evaluate(
    evaluator: ChunkEvaluator, source: GuideDraws, block: tuple[Tensor, ...], samples: int
) -> WeightStatistics:
    size = len(block[0])
    stream = WeightStream(samples, size, block[0].device)
    done = index = 0
    while done < samples:
        units = max(1, evaluator.samples_at_a_time(size) // source.unit_size)
        units = min(units, math.ceil((samples - done) / source.unit_size))
        draws = source.units(index, units)
        count = min(units * source.unit_size, samples - done)
        for weights in evaluator.log_weights(block, draws, count):
            stream.add(weights)
        done, index = done + count, index + units
    return stream.result()


def _result(
    columns: Tensor,
    layout: Layout,
    likelihoods: list[Likelihood],
    samples: int,
    **settings: Any,
) -> LogLikelihood:
    found = WeightStatistics(*columns[:5].unbind(), bounds=columns[5:])
    sizes = group_sizes(samples)
    means = [float(bound.mean()) for bound in found.bounds]
    one = likelihoods[0] if len(likelihoods) == len(layout.observed) == 1 else None
    return LogLikelihood(
        log_likelihood=found.log_mean,
        elbo=found.mean_log,
        by_samples={
            **dict(zip(sizes, means, strict=True)),
            samples: float(found.log_mean.mean()),
        },
        effective_sample_size=found.effective_sample_size,
        pareto_k=found.pareto_k,
        max_weight=found.max_weight,
        samples=samples,
        discrete_levels=None if one is None else one.discrete_levels,
        dimensions=layout.dimensions,
        is_likelihood=all(each.is_likelihood for each in likelihoods),
        **settings,
    )
