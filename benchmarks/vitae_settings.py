"""The data sets and rows of the comparison of `vitae_table`, after the poster of VITAE.

Source: Detlefsen & Hauberg (2019), https://arxiv.org/abs/1906.11881, table 1 and its poster.
"""

from dataclasses import dataclass, field
from typing import Any

from unbraid.methods import DataSpec

VITAE = ("u-vitae", "c-vitae")
BASE = "c-vitae"  # whose size the others match, and whom they are compared with
ROWS: dict[str, dict[str, Any]] = {
    "vae": {},
    "beta-vae": {"beta": 4.0},
    "beta-tcvae": {"beta": 6.0},
    "dip-vae": {"kind": "ii"},
    "u-vitae": {},
    "c-vitae": {},
}


@dataclass(frozen=True)
class Setting:
    """One data set: what is trained on it, and how it is judged.

    Attributes:
        data: Name of the data.
        shape: Their images' `(C, H, W)`.
        appearance_dim: Appearance coordinates of VITAE.
        perspective_dim: Perspective coordinates of VITAE; the others have the sum of both.
        steps: Steps of the whole training, in batches of `batch_size`.
        batch_size: Data per step.
        warmup: Steps over which the divergence's weight rises, of every row that has a warm-up.
        options: Nets and likelihood, of every row.
        vitae: Further options of VITAE.
        train: Settings of the training.
        samples: Importance samples per test image.
        images: Test images that log p is estimated of.
        train_codes: Training images whose codes the scores learn from.
        test_codes: Test images whose codes are scored.
        class_name: What the class is called; the rest of the factors are the pose.
    """

    data: str
    shape: tuple[int, int, int]
    appearance_dim: int
    perspective_dim: int
    steps: int
    batch_size: int
    warmup: int
    options: dict[str, Any]
    vitae: dict[str, Any]
    train: dict[str, Any] = field(default_factory=dict)
    samples: int = 5000
    images: int = 300
    train_codes: int = 20_000
    test_codes: int = 10_000
    class_name: str = "digit"

    @property
    def spec(self) -> DataSpec:
        """What nets are built for, when their parameters are counted."""
        return DataSpec(self.shape, "grey", 60_000)

    def row_options(self, method: str) -> dict[str, Any]:
        """Return the options of a row, before its nets are matched to the base's."""
        if method in VITAE:
            sizes = {
                "appearance_dim": self.appearance_dim,
                "perspective_dim": self.perspective_dim,
            }
            return {
                **self.options,
                **self.vitae,
                "warmup": self.warmup,
                **sizes,
                **ROWS[method],
            }
        size = self.appearance_dim + self.perspective_dim
        warmup = {} if method == "beta-vae" else {"warmup": self.warmup}  # its weight is beta
        return {**self.options, **warmup, "latent_dim": size, **ROWS[method]}


_DIGITS: dict[str, Any] = {
    "data": "mnist",
    "shape": (1, 28, 28),
    "appearance_dim": 2,
    "perspective_dim": 2,
    "steps": 43_000,  # the published 200 epochs of 55 000 images
    "batch_size": 256,
    "warmup": 1000,
    "vitae": {"transform": "affine"},
}
_NETS: dict[str, Any] = {
    "nets": "mlp",
    "hidden": (256, 256, 256, 256),
    "activation": "silu",
    "code_spread": 4.0,
}
_FIT: dict[str, Any] = {"learning_rate": 2e-3, "clip_norm": 100.0, "mode": "compile"}
_MOTION: dict[str, Any] = {**_FIT, "rotate": 20.0, "translate": 0.1}
_BODIES: dict[str, Any] = {
    "data": "bodies",
    "shape": (1, 64, 32),
    "steps": 15_000,
    "batch_size": 64,
    "warmup": 1000,
    "train": {**_FIT, "learning_rate": 1e-3},
    "samples": 1000,
    "images": 500,
    "train_codes": 7000,
    "test_codes": 2000,
    "class_name": "pose",
}

SETTINGS = {
    "mnist-binary": Setting(
        **_DIGITS,
        options={**_NETS, "likelihood": "bernoulli"},
        train={**_MOTION, "binarise": "dynamic"},
    ),
    "mnist-grey": Setting(
        **_DIGITS, options={**_NETS, "likelihood": "bernoulli-grey"}, train=_MOTION
    ),
    "mnist-binary-weighted": Setting(
        **_DIGITS,
        options={**_NETS, "likelihood": "bernoulli"},
        train={**_MOTION, "binarise": "dynamic", "particles": 4},
    ),
    "mnist-grey-weighted": Setting(
        **_DIGITS,
        options={**_NETS, "likelihood": "bernoulli-grey"},
        train={**_MOTION, "particles": 4},
    ),
    "mnist-motion": Setting(
        **{**_DIGITS, "perspective_dim": 4},
        options={**_NETS, "likelihood": "bernoulli-grey"},
        train=_MOTION,
    ),
    "mnist-similarity": Setting(
        **{**_DIGITS, "perspective_dim": 4, "vitae": {"transform": "similarity"}},
        options={**_NETS, "hidden": (512, 512, 512, 512), "likelihood": "bernoulli-grey"},
        train={**_MOTION, "learning_rate": 1e-3},
    ),
    "mnist-rigid": Setting(
        **{
            **_DIGITS,
            "appearance_dim": 8,  # with 2, turns of zeros are guesses
            "perspective_dim": 4,
            "vitae": {"transform": "rotation+translation", "appearance_beta": 3.0},
        },
        options={**_NETS, "likelihood": "bernoulli-grey"},
        train={**_MOTION, "learning_rate": 1e-3},
    ),
    "dsprites": Setting(
        data="dsprites",
        shape=(1, 64, 64),
        appearance_dim=2,
        perspective_dim=4,
        steps=60_000,
        batch_size=64,
        warmup=2000,
        options={**_NETS, "likelihood": "bernoulli"},  # convolutions take several times as long
        vitae={"transform": "affine"},
        train={**_FIT, "learning_rate": 1e-3},
        samples=1000,
        images=500,
        class_name="shape",
    ),
    "bodies": Setting(
        **_BODIES,
        appearance_dim=2,
        perspective_dim=2,
        options={**_NETS, "likelihood": "normal-learned"},
        vitae={"transform": "cpab", "scale_warmup": 1000},
    ),
    "bodies-apart": Setting(
        **{**_BODIES, "steps": 10_000},
        appearance_dim=1,
        perspective_dim=1,
        options={**_NETS, "likelihood": "normal"},
        vitae={"transform": "cpab", "scale": 0.1, "appearance_beta": 500.0},
    ),
}
