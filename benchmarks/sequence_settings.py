"""The data sets and rows of the comparison of `sequence_table`."""

from dataclasses import dataclass
from typing import Any

SCENE = "scene:weight=1000,hidden=256,128,steps=4"
ROWS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "static-dynamic": ("static-dynamic", {}, ()),
    "distinct-frames": ("static-dynamic", {"companions": 3}, ()),
    "scene-critic": ("static-dynamic", {"companions": 1}, (SCENE,)),
    "neural-statistician": ("neural-statistician", {}, ()),
    "fhvae": ("fhvae", {}, ()),
}
"""By name: the method, its options beside those of the setting, and its hooks."""


@dataclass(frozen=True)
class Setting:
    """One data set: what is trained on it, and how it is judged.

    Attributes:
        data: Name of the data.
        data_options: Options of the data.
        options: Options of every row that its method has.
        train: Settings of the training.
        steps: Steps of the training.
        probe_frames: Frames of each sequence that probes and judges are given.
        probe_sequences: Training sequences that probes and judges learn from, at most.
        judged: Factors of sequences and factors of frames that judges of real frames are trained
            for; none where the frames' factors have no classes.
        frames: Frames of each sequence whose joint log p(x) is estimated.
        samples: Samples of the static code.
        inner_samples: Samples of each frame's codes per sample of the static one.
        sequences: Test sequences that log p(x) is estimated of.
        judge_steps: Steps that the judges are trained for.
        few_sequences: Whether there are so few that a probe is to learn from each of them, none
            held back to stop it early; and that the nearest frames are asked, too.
        probe_rows: Frames or sequences that a probe learns from, at most.
        rendered: Whether the data can be drawn in any looks and pose, so that swaps and
            reconstructions can be compared with what they should show; and that the nearest
            frames are asked, as there are many classes of poses.
    """

    data: str
    data_options: dict[str, Any]
    options: dict[str, Any]
    train: dict[str, Any]
    steps: int
    probe_frames: int
    judged: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    frames: int = 3
    samples: int = 200
    inner_samples: int = 25
    sequences: int = 50
    judge_steps: int = 6000
    probe_sequences: int = 8000
    probe_rows: int = 10_000
    few_sequences: bool = False
    rendered: bool = False


_TRAIN: dict[str, Any] = {"learning_rate": 1e-3, "clip_norm": 100.0, "mode": "compile"}
_CODES: dict[str, Any] = {
    "frames": 4,
    "static_dim": 32,
    "dynamic_dim": 4,
    "likelihood": "normal",
    "warmup": 1000,
}

SETTINGS = {
    "sprites": Setting(
        data="sprites",
        data_options={"size": 32},
        options={
            **_CODES,
            "static_dim": 16,
            "scale": 0.05,
            "channels": (32, 64, 128),
            "hidden": (1024,),
            "join": "modulate",
            "join_hidden": (512, 512),
            "code_spread": 4.0,
        },
        train={**_TRAIN, "learning_rate": 2e-3, "batch_size": 24, "clip_norm": 1000.0},
        steps=40_000,
        probe_frames=64,
        probe_rows=57_600,
        judged=(("body", "bottomwear", "topwear", "hair"), ("pose", "action")),
        rendered=True,
    ),
    "digits": Setting(
        data="moving-mnist",
        data_options={
            "form": "drnet",
            "size": 32,
            "digit_size": 16,
            "digits_from": "mnist",
            "sequences": 100_000,
        },
        options={
            **_CODES,
            "frames": 3,
            "static_dim": 64,
            "likelihood": "normal-learned",
            "nets": "conv",
            "channels": (32, 64, 128),
            "pair_channels": 128,
            "hidden": (512, 1024),
            "join": "modulate",
            "join_hidden": (512, 512),
            "code_spread": 4.0,
        },
        train={**_TRAIN, "batch_size": 24},
        steps=70_000,
        probe_frames=20,
        probe_sequences=40_000,
        probe_rows=40_000,
    ),
    "faces": Setting(
        data="grid-faces",
        data_options={"size": 32},
        options={
            **_CODES,
            "static_dim": 16,
            "dynamic_dim": 2,
            "scale": 0.03,
            "hidden": (512,),
            "join": "modulate",
            "warmup": 500,
        },
        train={**_TRAIN, "batch_size": 30},
        steps=5000,
        probe_frames=15,
        sequences=20,
        few_sequences=True,
    ),
}
