"""Classifiers and regressors that are trained on frozen codes, all of scikit-learn."""

from copy import deepcopy
from math import inf
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

ProbeName: TypeAlias = Literal["mlp", "logistic", "knn"]
PROBES: tuple[ProbeName, ...] = ("mlp", "logistic", "knn")

_Floats: TypeAlias = NDArray[np.floating]
_HIDDEN = (128,)
_NEIGHBOURS = 5
_EPOCHS, _PATIENCE, _GAIN = 200, 10, 1e-3
_HELD_OUT = 0.2
_STEPS_PER_EPOCH, _LARGEST_BATCH, _SMALLEST_BATCH = 20, 200, 8


def tell(
    probe: ProbeName,
    train_codes: _Floats,
    train_target: NDArray[Any],
    train_clusters: NDArray[np.integer],
    test_codes: _Floats,
    *,
    discrete: bool,
    seed: int,
) -> NDArray[Any]:
    """Train a probe and return what it says of the test codes, `(M,)`.

    Every code is brought to mean 0 and variance 1 first, so that also what stands in codes of a
    tiny scale is found.

    Args:
        probe: `mlp`, one hidden layer of 128, stopped early by a fifth of the clusters, which it
            is not trained on; `logistic`, multinomial with penalty 1, of continuous targets ridge
            regression; `knn`, a vote or the mean of the 5 nearest.
        train_codes: `(N, K)`.
        train_target: Classes or numbers `(N,)`, at least two different ones.
        train_clusters: Integers `(N,)`; data of one cluster are stopped by or trained on together.
        test_codes: `(M, K)`.
        discrete: Whether the target is a class.
        seed: Of the net's first weights, its batches and the clusters that stop it.
    """
    scaler = StandardScaler().fit(train_codes)
    train, test = (np.asarray(scaler.transform(part)) for part in (train_codes, test_codes))
    if discrete:
        return _fitted(probe, train, train_target, train_clusters, True, seed).predict(test)
    centre, scale = train_target.mean(), train_target.std()
    target = (train_target - centre) / scale
    fitted = _fitted(probe, train, target, train_clusters, False, seed)
    return centre + scale * fitted.predict(test)


def fitted_name(probe: str, discrete: bool) -> str:
    """Return the name of what is fitted: the linear probe of real values is `ridge`."""
    return "ridge" if probe == "logistic" and not discrete else probe


def _fitted(
    probe: ProbeName,
    codes: _Floats,
    target: NDArray[Any],
    clusters: NDArray[np.integer],
    discrete: bool,
    seed: int,
) -> Any:
    if probe == "mlp":
        return _mlp(codes, target, clusters, discrete, seed)
    if probe == "logistic":
        kind = LogisticRegression(max_iter=2000) if discrete else Ridge()
    else:
        neighbours = min(_NEIGHBOURS, len(codes))
        kind = (KNeighborsClassifier if discrete else KNeighborsRegressor)(neighbours)
    return kind.fit(codes, target)


def _mlp(
    codes: _Floats, target: NDArray[Any], clusters: NDArray[np.integer], discrete: bool, seed: int
) -> Any:
    """Train a net until its loss on clusters that are held out has hardly fallen for some epochs.

    Held-out frames of sequences that the net knows would let it learn sequences by heart.
    """
    random = np.random.RandomState(seed)
    held_out = _hold_out(clusters, target if discrete else np.zeros_like(clusters), random)
    rows, target_rows = codes[~held_out], target[~held_out]
    batch = int(np.clip(len(rows) // _STEPS_PER_EPOCH, _SMALLEST_BATCH, _LARGEST_BATCH))
    kind: Any = MLPClassifier if discrete else MLPRegressor
    net = kind(hidden_layer_sizes=_HIDDEN, batch_size=min(batch, len(rows)), random_state=random)
    classes = {"classes": np.unique(target)} if discrete else {}
    # Where no epoch beats the mean of a continuous target, the mean is what the codes tell.
    best = net if discrete else DummyRegressor().fit(rows, target_rows)
    least = inf if discrete else _loss(best, codes[held_out], target[held_out], False)
    waited = 0
    for _ in range(_EPOCHS):
        net.partial_fit(rows, target_rows, **classes)
        classes = {}
        loss = _loss(net, codes[held_out], target[held_out], discrete)
        waited = 0 if loss < least - _GAIN else waited + 1
        if loss < least:
            best, least = deepcopy(net), loss
        if waited == _PATIENCE:
            break
    return best


def _hold_out(
    clusters: NDArray[np.integer], classes: NDArray[Any], random: np.random.RandomState
) -> NDArray[np.bool_]:
    """Choose a fifth of the clusters, of which no class is all; else a fifth of the data.

    A class that the net is never shown would be judged, and never told.
    """
    rows = np.arange(len(clusters))
    for parts in (clusters, rows):
        held_out = _spared(parts, classes, random)
        if held_out.any():
            return held_out
    return np.isin(rows, random.permutation(rows)[: max(1, round(_HELD_OUT * len(rows)))])


def _spared(
    clusters: NDArray[np.integer], classes: NDArray[Any], random: np.random.RandomState
) -> NDArray[np.bool_]:
    """Choose up to a fifth of the clusters, in a random order, that leave some of each class."""
    known, place = np.unique(clusters, return_inverse=True)
    values, value = np.unique(classes, return_inverse=True)
    counts = np.zeros((len(known), len(values)), int)
    np.add.at(counts, (place, value), 1)
    left, chosen = counts.sum(0), np.zeros(len(known), bool)
    most = max(1, round(_HELD_OUT * len(known)))
    for cluster in random.permutation(len(known)):
        if (left > counts[cluster]).all():
            chosen[cluster] = True
            left = left - counts[cluster]
        if chosen.sum() == most:
            break
    return chosen[place]


def _loss(net: Any, codes: _Floats, target: NDArray[Any], discrete: bool) -> float:
    if discrete:
        return float(log_loss(target, net.predict_proba(codes), labels=net.classes_))
    return float(((net.predict(codes) - target) ** 2).mean())
