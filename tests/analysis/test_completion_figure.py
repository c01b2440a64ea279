"""The picture of completions: which images it shows, where, and with which weights."""

import numpy as np
import pytest
import torch

from unbraid import guides, models
from unbraid.analysis import completion_figure
from unbraid.inference import masked_posterior
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood

SIDE, COUNT, DRAWS = 6, 3, 2
CELL = SIDE + 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dims", [2, 3, 4])
def test_what_it_shows(channels, dims):
    shape = (channels, SIDE, SIDE)
    model = models.VAE(MLPDecoder(2, shape, make_likelihood("normal", channels), (4,)), 2)
    guide = guides.VAE(MLPEncoder(shape, 2, (4,)))
    x = torch.rand(COUNT, *shape)
    observed = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    observed[:, :4] = True
    given = observed if dims == 2 else observed.expand(COUNT, SIDE, SIDE)
    given = given.unsqueeze(1).expand(COUNT, *shape) if dims == 4 else given
    posterior = masked_posterior(model, guide, x, given, samples=30, draws=DRAWS)
    figure = completion_figure(x, given, posterior, title="Completed $x$")
    [axis] = figure.axes
    shown = np.asarray(axis.images[0].get_array(), dtype=float)
    shown = torch.tensor(shown.reshape(*shown.shape[:2], -1)).movedim(-1, 0) / 255

    def cell(row: int, column: int) -> torch.Tensor:
        part = shown[:, row * CELL : row * CELL + SIDE, column * CELL : column * CELL + SIDE]
        return part.expand(3, SIDE, SIDE)[:channels]

    for row in range(COUNT):
        seen = torch.where(observed, x[row], 0.5)
        expected = [x[row], seen, posterior.mean[row], *posterior.completions[row]]
        for column, image in enumerate(expected):
            close = (cell(row, column) - image.clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-6
            assert close, (row, column)
    written = [text.get_text() for text in axis.texts]
    weights = posterior.completion_weights.flatten().tolist()
    assert written == [f"{100 * weight:.2g} %" for weight in weights]
    places = [text.get_position() for text in axis.texts[:DRAWS]]
    assert places == [(3 * CELL, SIDE - 1), (4 * CELL, SIDE - 1)]
    assert axis.get_title(loc="left") == "Completed $x$"
    assert [tick.get_text() for tick in axis.get_xticklabels()][:3] == ["image", "seen", "mean"]
