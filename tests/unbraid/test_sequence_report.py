"""The report of a run on sequences shows how they swap, move and look anew."""

import numpy as np
import pytest

import unbraid


@pytest.mark.parametrize("count", [12, 40])
def test_a_report_of_sequences_has_their_pictures(tmp_path, count):
    """Of twelve one is left to test, which has no neighbours."""
    generator = np.random.default_rng(0)
    clips = tmp_path / "clips.npz"
    frames = generator.integers(0, 256, (count, 6, 9, 8), dtype=np.uint8)
    np.savez(clips, sequences=frames, lengths=generator.integers(2, 7, count))
    run = unbraid.train(
        "static-dynamic",
        data=str(clips),
        out=tmp_path / "run",
        steps=2,
        batch_size=4,
        device="cpu",
        options={"nets": "mlp", "hidden": (8,), "static_dim": 3, "likelihood": "normal"},
    )
    page = run.report().read_text()
    drawn = {path.stem for path in (tmp_path / "run" / "figures").iterdir()}
    expected = {
        "clips", "dynamics", "identities", "neighbours", "new_frames", "prior", "swaps",
        "trajectory", "traversals-dynamic", "traversals-static",
    }  # fmt: skip
    if count == 12:
        assert not {"neighbours", "swaps"} & drawn
        expected -= {"neighbours", "swaps"}
    assert expected <= drawn
    assert not {"samples", "reconstructions", "manifold-dynamic"} & drawn
    assert page.count('<img src="data:image/png') == len(drawn)
    for words in ("the same grid of dynamic codes", "sampled from the learned prior p(z|f)"):
        assert words.lower() in page.lower()
