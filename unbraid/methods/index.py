"""The list of methods: add a line here for a new one."""

from difflib import get_close_matches
from typing import NamedTuple

from .options import OptionError


class Entry(NamedTuple):
    """A method of the list: the module of its `Options` and `build`, and one line on it."""

    module: str
    summary: str


METHODS: dict[str, Entry] = {
    "vae": Entry("vae", "variational autoencoder (Kingma & Welling 2014)"),
    "cvae": Entry(
        "cvae",
        "VAE of images given a class, factors or a part of the image (Sohn 2015)",
    ),
    "m2": Entry(
        "m2",
        "VAE with a class beside the code, told from a few labels, also of codes (Kingma 2014)",
    ),
    "beta-vae": Entry(
        "beta_vae",
        "VAE with a weight or a capacity on its divergence (Higgins 2017, Burgess 2018)",
    ),
    "beta-tcvae": Entry(
        "beta_tcvae",
        "VAE with a weight on the total correlation of its codes alone (Chen 2018)",
    ),
    "factor-vae": Entry(
        "factor_vae",
        "VAE whose total correlation a critic estimates (Kim & Mnih 2018)",
    ),
    "dip-vae": Entry(
        "dip_vae",
        "VAE whose codes are held uncorrelated over the data (Kumar 2018)",
    ),
    "mmd-vae": Entry(
        "mmd_vae",
        "VAE whose codes as a whole are held at the prior (Zhao 2017, Tolstikhin 2018)",
    ),
    "domain-adaptation": Entry(
        "domain_adaptation",
        "labels of one domain for another: codes that hide the domain (Ganin 2015, Tzeng 2017)",
    ),
    "aae-semi": Entry(
        "aae_semi",
        "aae with classes beside the codes, told from a few labels (Makhzani 2016)",
    ),
    "predictability-min": Entry(
        "predictability_min",
        "VAE none of whose coordinates are told from the others (Schmidhuber 1992)",
    ),
    "aae": Entry(
        "aae",
        "autoencoder whose codes a critic holds at the prior (Makhzani 2016)",
    ),
    "avb": Entry(
        "avb",
        "VAE whose posterior is a net fed noise, judged by a critic (Mescheder 2017)",
    ),
    "vae-gan": Entry(
        "vae_gan",
        "VAE whose images a critic judges, by verdict and features (Larsen 2016)",
    ),
    "fair": Entry(
        "fair",
        "labels from codes that hide an attribute (Edwards 2016, Zhang 2018, Madras 2018)",
    ),
    "c-vitae": Entry(
        "c_vitae",
        "appearance from the image un-warped by its perspective (Detlefsen & Hauberg 2019)",
    ),
    "u-vitae": Entry(
        "u_vitae",
        "appearance and perspective, inferred independently (Detlefsen & Hauberg 2019)",
    ),
    "swap-vae": Entry(
        "swap_vae",
        "a code for what images share, swapped with partners, one for the rest (Mathieu 2016)",
    ),
    "swap-gan": Entry(
        "swap_gan",
        "swap-vae with a critic of images whose codes are of two data (Mathieu, Szabo)",
    ),
    "mixing": Entry(
        "mixing",
        "autoencoder whose codes are mixed by chunks, each of which must show (Hu 2018)",
    ),
    "static-dynamic": Entry(
        "static_dynamic",
        "sequences: a static code of all frames, a dynamic one of each (Helminger 2018)",
    ),
    "neural-statistician": Entry(
        "neural_statistician",
        "sequences: a code of their pooled frames, layers of codes of each (Edwards 2017)",
    ),
    "dc-ign": Entry(
        "dc_ign",
        "VAE with coordinates per factor, by sets in which one varies (Kulkarni 2015)",
    ),
    "group-vae": Entry(
        "group_vae",
        "groups: a code of what their items share, one of each item (Bouchacourt 2018)",
    ),
    "drnet": Entry(
        "drnet",
        "clips: content of one frame, pose of another, kept apart by a critic (Denton 2017)",
    ),
    "pose-prediction": Entry(
        "pose_prediction",
        "clips: the next frames, by an LSTM of poses of a run of drnet (Denton 2017)",
    ),
    "action-rotation": Entry(
        "action_rotation",
        "turntables: content of one view, a pose that actions turn (Yang 2015)",
    ),
    "fhvae": Entry(
        "fhvae",
        "sequences: two codes of each frame, one near its sequence's own (Hsu 2017)",
    ),
}


RECIPES = {
    "ae-lstm": "It is drnet with --set static_dim=0 similarity=0 adversary=0, and pose-prediction "
    "on that run: docs/prediction.md"
}
"""By a name of the field that is no method here: how methods make it."""


def find_method(name: str) -> Entry:
    """Return the entry of a method.

    Raises:
        OptionError: If there is no such method; names the nearest one.
    """
    if name in METHODS:
        return METHODS[name]
    close = get_close_matches(name, METHODS, n=1)
    hint = f"Did you mean {close[0]}?" if close else "Run `unbraid methods` for what each one is."
    hint = RECIPES.get(name, hint)
    raise OptionError(f"method is {name!r}; expected one of {', '.join(METHODS)}. {hint}")
