"""Reports show graphs of real methods, and codes coloured by what is known of the data."""

from typing import Any

import numpy as np
import pytest
import torch

import unbraid
from unbraid.analysis import model_graph
from unbraid.data import Dataset
from unbraid.methods import DataSpec, load_method, read_options

CLASSES = torch.tensor([0, 1, 2, 1])
IMAGES = DataSpec((1, 9, 12), "binary", 100, classes=3)
CLIPS = DataSpec((1, 9, 12), "binary", 100, sequence_length=5)
SMALL = {"hidden": (6,), "nets": "mlp"}
DIMS = {
    "c-vitae": {"appearance_dim": 3, "perspective_hidden": (4,)},
    "static-dynamic": {"hidden": (6,), "static_dim": 3, "dynamic_dim": 2},
}


def graphs(name):
    method = load_method(name)
    options = {"nets": "mlp", **DIMS.get(name, {})}
    spec = CLIPS if name == "static-dynamic" else IMAGES
    parts = method.build(read_options(method.options, options), spec)
    x = torch.zeros(4, *([5] if spec is CLIPS else []), *spec.shape)
    args = [{"x": x, "label": CLASSES}[key] for key in parts.inspected]
    return [model_graph(program, *args) for program in (parts.model, parts.guide)]


@pytest.mark.parametrize(
    ("name", "p", "q"),
    [
        ("vae", {"x": ["z"]}, {"z": ["x"]}),
        ("cvae", {"x": ["condition", "z"]}, {"z": ["condition", "x"]}),
        ("m2", {"x": ["label", "z"]}, {"label": ["x"], "z": ["label", "x"]}),
        (
            "c-vitae",
            {"x": ["appearance", "perspective"]},
            {"perspective": ["x"], "appearance": ["perspective", "x"]},
        ),
        (
            "static-dynamic",
            {"dynamic": ["static"], "x": ["dynamic", "static"]},
            {"static": ["x"], "dynamic": ["static", "x"]},
        ),
    ],
)
def test_graphs_of_methods_are_those_of_their_papers(name, p, q):
    for nodes, expected in zip(graphs(name), (p, q), strict=True):
        assert {n.name: sorted(n.parents) for n in nodes if n.parents} == expected
        for node in nodes:
            in_frames = name == "static-dynamic" and node.name in ("dynamic", "x")
            is_x_of_q = node.kind == "given" and node.name == "x"
            plates = ("data", "frames") if in_frames and not is_x_of_q else ("data",)
            assert node.plates == plates


def report_of(path, tmp_path):
    run = unbraid.train(
        "vae",
        str(path),
        tmp_path / "run",
        steps=3,
        batch_size=8,
        progress=False,
        say=lambda line: None,
        options={**SMALL, "latent_dim": 2},
    )
    run.report()
    return {file.stem for file in (run.folder / "figures").iterdir()}, run


@pytest.mark.parametrize("known", ["nothing", "labels", "factors"])
def test_reports_have_pictures_of_codes(known, tmp_path):
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {"images": random.integers(0, 2, (60, 9, 8), dtype=np.uint8) * 255}
    if known == "labels":
        arrays["labels"] = np.arange(60) % 3
    elif known == "factors":
        arrays["factors"] = np.stack([np.arange(60) % 3, np.arange(60) % 4], 1)
    np.savez(tmp_path / "data.npz", **arrays)
    names, run = report_of(tmp_path / "data.npz", tmp_path)
    pictures = {"graph", "interpolations", "codes-z", "posteriors-z", "aggregate-z"}
    assert pictures <= names
    assert ("factors-z" in names) == (known != "nothing")
    page = (run.folder / "report.html").read_text()
    for heading in ("Model and guide", "Interpolations", "Codes of z", "Aggregate posterior of z"):
        assert f'alt="{heading}"' in page


def test_what_is_known_is_told_apart_by_kind():
    from unbraid.code_figures import known_of  # pyright: ignore[reportMissingImports]

    factors = [[2, 0.5, 1], [2, 0.6, 0], [2, 0.7, 1], [2, 0.1, 1], [2, 0, 1], [1, 0, 1]]
    data = Dataset(
        torch.zeros(6, 1, 4, 4, dtype=torch.uint8),
        labels=torch.tensor([0, -1, 0, 1, 1, 1]),
        label_names=("cat", "dog"),
        factors=torch.tensor(factors),
        factor_names=("fixed", "size", "kind"),
        factor_sizes=(3, 0, 2),
    )
    found = known_of(data, 5)
    assert [(name, is_class) for name, is_class, _ in found] == [
        ("label", True),
        ("size", False),
        ("kind", True),
    ]
    assert found[0][2].tolist() == [0, -1, 0, 1, 1]
    # What is left of the label does not vary.
    assert [name for name, _, _ in known_of(data, 2)] == ["size", "kind"]
