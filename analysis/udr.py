"""Unsupervised disentanglement ranking: whether runs agree on their single codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Lasso

from .correlations import spearman
from .score_inputs import Values, code_rows, host_array

Similarity: TypeAlias = Literal["lasso", "spearman"]

_PENALTY = 0.1
_LEAST_KL = 0.01  # nats
_LEAST_SCALE = 0.05


@dataclass(frozen=True, eq=False)
class UDR:
    """How well the codes of each run are found again, one by one, in those of the others.

    Attributes:
        run_scores: Median over the other runs of the pair's score, in [0, 1], `(R,)`.
        pair_scores: Of run `j` as run `i` tells it, `(R, R)`; NaN on the diagonal.
        informative: Which codes of each run count, bools `(K,)` each.
    """

    run_scores: NDArray[np.floating]
    pair_scores: NDArray[np.floating]
    informative: tuple[NDArray[np.bool_], ...]


def udr(
    codes: Sequence[Values],
    *,
    divergences: Sequence[Values] | None = None,
    similarity: Similarity = "lasso",
) -> UDR:
    r"""Rank runs of one method by the agreement of their codes of the same data, without factors.

    The similarity `R` of the informative codes of two runs gives the pair the score
    \( \frac{1}{K_i + K_j} (\sum_b r_b^2 / \sum_a R_{ab} + \sum_a r_a^2 / \sum_b R_{ab}) \), with
    `r` the largest of the column or row. It is 1 if each code is that of the other run, up to
    order, scale and sign, and low where a code is spread over several. It holds to the extent that
    runs disentangle alike and entangle each in its own way: runs that all entangle alike, being
    copies or having seen a bias of the data, score high. Published searches take 5 runs or more
    that differ in their seed alone.

    Source: Duan et al. (2020), https://arxiv.org/abs/1905.12614, section 4. Where two runs have
    another number of informative codes, disentanglement_lib takes the mean of either side first.

    Args:
        codes: Codes `(N, K)` of the same `N` data by each of at least two runs; `K` may differ.
        divergences: Mean divergence KL(q || p) of each code, nats, `(K,)` per run: those above
            0.01 are informative, as in the paper. Unless given, those of a standard deviation of
            at least 0.05 are. Constant codes never are.
        similarity: `lasso`, coefficients of penalty 0.1 of standardised codes of run `i` that tell
            one of run `j`; or `spearman`, correlations of ranks. Absolute values count.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, there is one run only, or there is
            no such similarity.
    """
    if len(codes) < 2:
        raise ValueError(
            f"codes are those of {len(codes)} run; expected at least 2. Train with other seeds."
        )
    if similarity not in get_args(Similarity):
        raise ValueError(
            f"similarity is {similarity!r}; expected one of {', '.join(get_args(Similarity))}. "
            "The default is lasso."
        )
    runs = [code_rows(f"codes[{r}]", run).astype(np.float64) for r, run in enumerate(codes)]
    for r, run in enumerate(runs):
        if len(run) != len(runs[0]):
            raise ValueError(
                f"codes[{r}] have {len(run)} data; expected {len(runs[0])}, as codes[0] have. "
                "Give codes of the same data in the same order."
            )
    informative = _informative(runs, divergences)
    kept = [_standard(run[:, mask]) for run, mask in zip(runs, informative, strict=True)]
    similar = _lasso if similarity == "lasso" else _ranks
    scores = np.full((len(kept), len(kept)), np.nan)
    for i, first in enumerate(kept):
        for j, second in enumerate(kept):
            if i != j:
                scores[i, j] = _agreement(similar, first, second)
    return UDR(np.nanmedian(scores, 0), scores, informative)


def _agreement(similar: Any, first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    if not (first.shape[1] and second.shape[1]):
        return 0.0
    table = similar(first, second)
    return float((_relative(table) + _relative(table.T)) / sum(table.shape))


def _relative(table: NDArray[np.floating]) -> float:
    """Sum over rows of the largest entry's square by the row's sum; 0 for an empty row."""
    sums = table.sum(1)
    return float((table.max(1) ** 2 / np.where(sums > 0, sums, 1)).sum())


def _lasso(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    coefficients = Lasso(_PENALTY).fit(first, second).coef_
    return np.abs(np.reshape(coefficients, (second.shape[1], first.shape[1]))).T


def _ranks(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.abs(spearman(first, second))


def _standard(codes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Bring codes, none of them constant, to mean 0 and standard deviation 1."""
    return (codes - codes.mean(0)) / codes.std(0)


def _informative(
    runs: Sequence[NDArray[np.floating]], divergences: Sequence[Values] | None
) -> tuple[NDArray[np.bool_], ...]:
    varies = [(run != run[0]).any(0) & (run.std(0) > 0) for run in runs]
    if divergences is None:
        return tuple(
            vary & (run.std(0) >= _LEAST_SCALE) for vary, run in zip(varies, runs, strict=True)
        )
    if len(divergences) != len(runs):
        raise ValueError(
            f"divergences are those of {len(divergences)} runs; expected {len(runs)}. Give one "
            "array per run."
        )
    masks = []
    for r, vary in enumerate(varies):
        means = code_rows(f"divergences[{r}]", host_array(divergences[r])[None])[0]
        if means.shape != vary.shape:
            raise ValueError(
                f"divergences[{r}] have shape {means.shape}; expected {vary.shape}. Give the mean "
                "over the data for each code."
            )
        masks.append(vary & (means > _LEAST_KL))
    return tuple(masks)
