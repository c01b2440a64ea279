"""What the codes of a trained pair tell of the class and the pose, for `vitae_table`."""

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import torch
from pyro import poutine
from torch import Tensor

from unbraid import Run
from unbraid.analysis import (
    dci,
    forest_r2,
    knn_accuracy,
    posterior_means,
    warp_model,
)
from unbraid.data import Binarise, Dataset, load
from unbraid.transforms import make_transform

from .vitae_settings import VITAE, Setting

Codes = dict[str, Tensor]
CHUNK = 1000
DCI_CODES, R2_CODES = 2000, 5000  # forests take their time


class Scored:
    """Images whose factors are known.

    Attributes:
        images: `(N, C, H, W)` in [0, 1].
        labels: Classes `(N,)`.
        factors: `(N, F)`; the first is the class.
        names: Of the factors.
        discrete: Which factors are classes.
    """

    def __init__(self, images: Tensor, labels: Tensor, pose: "Pose") -> None:
        self.images, self.labels = images, labels
        self.factors = torch.cat([labels[:, None].double(), pose.values.double()], 1)
        self.names = ["class", *pose.names]
        self.discrete = [True, *pose.discrete]


class Pose(NamedTuple):
    """The factors that are no class: values `(N, F)`, names, and which of them are discrete."""

    values: Tensor
    names: list[str]
    discrete: list[bool]


def scored(run: Run, setting: Setting, part: str, count: int, seed: int) -> Scored:
    """Take images of a part; where the setting moves them, move them by known amounts."""
    splits = load(setting.data, seed=run.config["data_seed"])
    dataset: Dataset = getattr(splits, part)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(dataset), generator=generator)[:count]
    dataset = dataset.take(chosen)
    images = dataset.pixels(torch.arange(len(dataset))).float() / 255
    degrees, share = run.config["rotate"], run.config["translate"]
    if degrees or share:
        images, pose = _move(images, degrees, share, generator)
        labels = dataset.labels
    else:
        labels, pose = _split_factors(dataset, setting.class_name)
    if run.config["binarise"] is not None:
        images = Binarise(run.config["binarise"])(images, generator)
    if labels is None:
        raise ValueError(f"{setting.data} has no labels; expected the class of every image")
    return Scored(images, labels, pose)


def _move(
    images: Tensor, degrees: float, share: float, generator: torch.Generator
) -> tuple[Tensor, Pose]:
    """Rotate and shift, as `RandomAffine` does, and tell by how much: radians and half sides."""
    channels, height, width = images.shape[1:]
    warp = make_transform("rotation+translation", (channels, height, width), padding="zeros")
    draws = 2 * torch.rand(len(images), 3, generator=generator) - 1
    pose = draws * torch.tensor([degrees * torch.pi / 180, 2 * share, 2 * share])
    return warp(images, pose), Pose(pose, ["rotation", "shift x", "shift y"], [False] * 3)


def _split_factors(dataset: Dataset, class_name: str) -> tuple[Tensor, Pose]:
    """The class, and the other factors that vary."""
    if dataset.factors is None:
        raise ValueError(f"{dataset.name} has no factors; expected the class among them")
    names = list(dataset.factor_names)
    labels = dataset.factors[:, names.index(class_name)].long()
    kept = [
        i
        for i, name in enumerate(names)
        if name != class_name and len(dataset.factors[:, i].unique()) > 1
    ]
    discrete = [dataset.factor_sizes[i] > 0 for i in kept]
    return labels, Pose(dataset.factors[:, kept], [names[i] for i in kept], discrete)


def codes_of(run: Run, images: Tensor) -> Codes:
    """Return the guide's means by latent site, `(N, K)`."""
    parts = [part.to(run.device) for part in images.split(CHUNK)]
    return {site: z.cpu() for site, z in posterior_means(run.model, run.guide, parts).items()}


@torch.no_grad()
def drawn_codes(run: Run, images: Tensor, sites: Iterable[str], seed: int) -> Codes:
    """Return one draw of the guide's by latent site, `(N, K)`: what a decoder sees of a code."""
    torch.manual_seed(seed)
    parts = [
        poutine.trace(run.guide).get_trace(part.to(run.device)).nodes
        for part in images.split(CHUNK)
    ]
    return {
        site: torch.cat([cast(Tensor, part[site].get("value")).cpu() for part in parts])
        for site in sites
    }


def canonical_images(run: Run, appearance: Tensor) -> Tensor:
    """Return the reconstructions without their warp: the published script's score uses them."""
    model = warp_model(run.model)
    with torch.no_grad():
        return torch.cat(
            [model.canonical(part.to(run.device)).cpu() for part in appearance.split(CHUNK)]
        )


def scores(run: Run, setting: Setting, *, part: str = "test", seed: int = 0) -> dict[str, Any]:
    """Return accuracies of the class and R^2 of the pose, from means and from draws, and DCI.

    Args:
        run: A trained run.
        setting: Its setting.
        part: `"test"`, or `"validation"` while settings are chosen.
        seed: Seed of the images' choice and motion.
    """
    known = scored(run, setting, "train", setting.train_codes, seed + 1)
    asked = scored(run, setting, part, setting.test_codes, seed)
    known_codes, asked_codes = codes_of(run, known.images), codes_of(run, asked.images)
    found = _told(known_codes, known, asked_codes, asked)
    if run.config["method"] in VITAE:
        unwarped = knn_accuracy(
            canonical_images(run, known_codes["appearance"]),
            known.labels,
            canonical_images(run, asked_codes["appearance"]),
            asked.labels,
        )
        found["accuracy"]["unwarped"] = unwarped.accuracy
        found["accuracy_se"]["unwarped"] = unwarped.standard_error
    drawn = [drawn_codes(run, of.images, known_codes, seed) for of in (known, asked)]
    joined = [torch.cat(list(codes.values()), 1) for codes in (known_codes, asked_codes)]
    parts = dci(
        joined[0][:DCI_CODES],
        known.factors[:DCI_CODES],
        joined[1][:DCI_CODES],
        asked.factors[:DCI_CODES],
        discrete=known.discrete,
    )
    return {
        **found,
        "of_draws": _told(drawn[0], known, drawn[1], asked),
        "disentanglement": parts.disentanglement,
        "completeness": parts.completeness,
        "informativeness": parts.informativeness,
    }


def _told(
    known_codes: Codes, known: Scored, asked_codes: Codes, asked: Scored
) -> dict[str, dict[str, Any]]:
    """Accuracy of the class and R^2 of the rest, from the codes of each site."""
    accuracy = {
        site: knn_accuracy(known_codes[site], known.labels, asked_codes[site], asked.labels)
        for site in known_codes
    }
    r2 = {
        site: forest_r2(
            known_codes[site][:R2_CODES],
            known.factors[:R2_CODES, 1:],
            asked_codes[site][:R2_CODES],
            asked.factors[:R2_CODES, 1:],
        ).per_target
        for site in known_codes
    }
    return {
        "accuracy": {site: one.accuracy for site, one in accuracy.items()},
        "accuracy_se": {site: one.standard_error for site, one in accuracy.items()},
        "r2": {site: dict(zip(known.names[1:], one, strict=True)) for site, one in r2.items()},
    }
