# %% [markdown]
# # Your own pair, and your own hook
#
# A model and a guide are ordinary modules with `pyro.sample` sites in a plate named `data`. Here
# is a pair with two codes, `ink` for how much of the page is black and `shape` for the rest, and
# what it takes to make the codes keep to their names: a penalty written in a few lines, and one
# that comes with the library. Nothing is registered anywhere. Open this file as a notebook in
# Jupyter (with jupytext) or VS Code, or run it as a script.

# %%
# %matplotlib inline
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from unbraid.analysis import linear_r2, posterior_means, traversals
from unbraid.data import Batches, load
from unbraid.inference import HSIC, Hook, Objective, PairError, check_pair, fit, log_likelihood
from unbraid.nets import MLPDecoder, MLPEncoder, batch_size, make_likelihood

# %% tags=["parameters"]
STEPS = 2000
SAMPLES, LIMIT = 500, 200

# %% [markdown]
# ## The pair
#
# Called with `x`, the model scores images; called with `size`, it samples them. Densities of whole
# codes and whole images are declared by `to_event`; nets take any number of leading dimensions,
# so that several particles work without a word.


# %%
class Model(nn.Module):
    """p(ink) p(shape) p(x | ink, shape)."""

    def __init__(self) -> None:
        super().__init__()
        likelihood = make_likelihood("bernoulli", channels=1)
        self.decoder = MLPDecoder(9, (1, 28, 28), likelihood, hidden=(256,))

    def forward(self, x: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Score images, or sample them."""
        with pyro.plate("data", batch_size(x, size)):
            ink = pyro.sample("ink", dist.Normal(torch.zeros(1), 1.0).to_event(1))
            shape = pyro.sample("shape", dist.Normal(torch.zeros(8), 1.0).to_event(1))
            return pyro.sample("x", self.decoder(torch.cat([ink, shape], -1)), obs=x)


class Guide(nn.Module):
    """q(ink | x) q(shape | x)."""

    def __init__(self) -> None:
        super().__init__()
        self.ink = MLPEncoder((1, 28, 28), 1, hidden=(256,))
        self.shape = MLPEncoder((1, 28, 28), 8, hidden=(256,))

    def forward(self, x: Tensor) -> None:
        """Sample both codes."""
        with pyro.plate("data", len(x)):
            pyro.sample("ink", self.ink(x))
            pyro.sample("shape", self.shape(x))


# %% [markdown]
# A pair is checked before it is trained. Here the guide of another model is refused, and why.

# %%
digits = load("mnist-small", binarise="dynamic")
x = Batches(digits.train, 100).batch(0)["x"]
facts = check_pair(Model(), Guide(), x)
print("latent:", *facts.latents, "observed:", *facts.observed)


class Forgetful(Guide):
    """A guide without the ink."""

    def forward(self, x: Tensor) -> None:
        """Sample the shape alone."""
        with pyro.plate("data", len(x)):
            pyro.sample("shape", self.shape(x))


try:
    check_pair(Model(), Forgetful(), x)
except PairError as error:
    print(error)

# %% [markdown]
# ## What the codes hold when nobody says what they should
#
# `fit` trains, `log_likelihood` judges. How much of the ink each code tells is the share of
# variance, R squared, that a linear regression explains on test digits.


# %%
def ink_of(batches: Batches) -> Tensor:
    """The share of black pixels of each image."""
    return torch.cat([batch["x"].mean((1, 2, 3)) for batch in batches])


def judged(model: nn.Module, guide: nn.Module) -> None:
    """Print log p(x), and how much of the ink each code tells."""
    first = Batches(digits.test.take(torch.arange(LIMIT)), 100, shuffle=False)
    found = log_likelihood(model, guide, first, samples=SAMPLES)
    print(f"log p(x) {found.mean:.2f} +- {found.standard_error:.2f} nats")
    train, test = (Batches(part, 500, shuffle=False) for part in (digits.train, digits.test))
    codes = [posterior_means(model, guide, (b["x"] for b in part)) for part in (train, test)]
    for site in ("ink", "shape"):
        r2 = linear_r2(codes[0][site], ink_of(train), codes[1][site], ink_of(test)).mean
        print(f"ink from `{site}`: R2 {r2:.3f}")


def trained(*hooks: Hook) -> tuple[Model, Guide]:
    """Train a pair with hooks beside its bound."""
    torch.manual_seed(0)
    model, guide = Model(), Guide()
    objective = Objective(hooks=hooks)
    result = fit(
        model, guide, Batches(digits.train, 100), steps=STEPS, objective=objective, progress=False
    )
    print({name: round(value, 3) for name, value in result.history[-1].items()})
    return model, guide


judged(*trained())

# %% [markdown]
# ## A hook of your own
#
# A hook is a module with a penalty: a scalar, in nats per datum, of the terms of the step. `terms`
# has every site's value and both of its distributions. This one asks that the code `ink` be the
# ink, standardised; no label is needed, since pixels can be counted.


# %%
class SaysInk(Hook):
    """The squared distance between the code `ink` and the share of black pixels, standardised."""

    sites = ("ink",)

    def __init__(self, mean: float, deviation: float, weight: float) -> None:
        super().__init__()
        self.mean, self.deviation, self.weight = mean, deviation, weight

    def penalty(self, terms: Any, batch: Any) -> Tensor:
        """Return the penalty of one batch."""
        true = (batch["x"].mean((1, 2, 3)) - self.mean) / self.deviation
        return self.weight * (terms["ink"].value[:, 0] - true).square().mean()


ink = ink_of(Batches(digits.train, 500, shuffle=False))
says_ink = SaysInk(ink.mean().item(), ink.std().item(), weight=10.0)
judged(*trained(says_ink))

# %% [markdown]
# Now `ink` says the ink, but `shape` may say it too. That the two be independent over the data is
# a penalty of the library, HSIC; hooks add up. Either has a price in log p(x), which stands above
# and below.

# %%
model, guide = trained(says_ink, HSIC(("ink", "shape"), weight=2000.0))
judged(model, guide)

# %% [markdown]
# From left to right the first row gets more ink, whatever else is in the image.

# %%
traversals(model, guide, x, latent="ink")
