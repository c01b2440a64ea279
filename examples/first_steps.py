# %% [markdown]
# # First steps
#
# Train a VAE on handwritten digits, judge it by importance-sampled log-likelihood, and look at
# what its latents carry. Open this file as a notebook in Jupyter (with jupytext) or VS Code, or
# run it as a script.

# %%
# %matplotlib inline
from pyro.infer import Predictive

import unbraid
from unbraid.analysis import (
    kl_chart,
    kl_per_dimension,
    manifold,
    prior_samples,
    reconstructions,
    traversals,
)
from unbraid.data import Batches

# %% tags=["parameters"]
OUT = "runs/first-steps"
STEPS = 2000
SAMPLES, LIMIT = 500, 200

# %% [markdown]
# ## Train, judge, report
#
# Everything is kept in the folder `OUT`; `unbraid.load(OUT)` brings the run back later.

# %%
run = unbraid.train(
    "vae", data="mnist-small", out=OUT, binarise="dynamic", steps=STEPS, force=True, progress=False
)
evaluation = run.evaluate(samples=SAMPLES, limit=LIMIT, progress=False)
print(f"ELBO     {evaluation['elbo']:.2f} nats per digit")
print(f"log p(x) {evaluation['log_likelihood']:.2f} +- {evaluation['log_likelihood_se']:.2f}")
print("report  ", run.report())

# %% [markdown]
# ## Posteriors
#
# `run.model` and `run.guide` are an ordinary Pyro pair: Pyro's own tools work on them.

# %%
digits = Batches(run.data.test, 64, shuffle=False, device=run.device).batch(0)["x"]
codes = Predictive(run.guide, num_samples=100)(digits)["z"]
print("100 codes of each of 64 digits:", tuple(codes.shape))
print("mean of the first digit's:     ", codes.mean(0)[0].numpy().round(2))
print("their standard deviation:      ", codes.std(0)[0].numpy().round(2))

# %% [markdown]
# A latent whose posterior does not leave the prior carries nothing: its divergence is near 0 nats.

# %%
kl = kl_per_dimension(run.model, run.guide, [digits])
kl_chart(kl)

# %% [markdown]
# ## Pictures
#
# Digits above their reconstructions; digits from the prior; one latent moved at a time; a plane of
# two latents.

# %%
reconstructions(run.model, run.guide, digits[:16])

# %%
prior_samples(run.model, 32)

# %%
traversals(run.model, run.guide, digits, kl=kl["z"])

# %%
manifold(run.model, run.guide, digits, kl=kl["z"])
