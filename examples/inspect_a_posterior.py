# %% [markdown]
# # Inspect a posterior
#
# A guide q(z|x) is a fast guess at the posterior p(z|x). Here is how to look at it, how to tell
# whether it is right, and what to do where it is not. Open this file as a notebook in Jupyter
# (with jupytext) or VS Code, or run it as a script.

# %%
# %matplotlib inline
import arviz_base
import numpy as np

import unbraid
from unbraid.analysis import (
    aggregate_posterior_figure,
    calibration_figure,
    latent_scatter,
    posterior_ellipses,
)
from unbraid.data import Batches
from unbraid.inference import simulation_based_calibration

# %% tags=["parameters"]
OUT, STEPS = "runs/inspect-a-posterior", 2000
DRAWS, CHAIN_DRAWS, WARMUP, DIGITS = 1000, 300, 200, 4
SIMULATIONS, RANKED = 1000, 99

# %% [markdown]
# ## A pair, and where its codes lie
#
# Few coordinates make pictures easy. Each digit is at its posterior's mean; colours are labels,
# which the training did not see.

# %%
run = unbraid.train(
    "vae",
    data="mnist-small",
    out=OUT,
    binarise="dynamic",
    steps=STEPS,
    options={"latent_dim": 4},
    force=True,
    progress=False,
)
batch = Batches(run.data.test, 500, shuffle=False, device=run.device).batch(0)
images, labels = batch["x"], batch["label"]
latent_scatter(run.model, run.guide, images, labels=labels)

# %% [markdown]
# Each digit's posterior has a width too. All of them together, grey, should cover the prior, since
# samples are decoded from there.

# %%
posterior_ellipses(run.model, run.guide, images)

# %%
aggregate_posterior_figure(run.model, run.guide, images)

# %% [markdown]
# ## One digit at a time: draws and weights
#
# Each draw of the guide is weighed by p(x, z) / q(z|x). If the guide were the posterior, all
# weights were equal, and the effective sample size the number of draws.

# %%
tree = run.posterior(draws=DRAWS, limit=DIGITS)
diagnostics = tree.children["diagnostics"].to_dataset()
print("log p(x), nats      ", diagnostics["log_evidence"].values.round(2))
print("effective sample    ", diagnostics["effective_sample_size"].values.round(0), "of", DRAWS)
print("Pareto k-hat        ", diagnostics["pareto_k"].values.round(2), "(good below 0.7)")

# %% [markdown]
# Weighted means correct the guide's own, as far as the effective sample reaches.

# %%
guessed = tree.children["posterior"].to_dataset()["z"]
log_weights = tree.children["sample_stats"].to_dataset()["log_weight"]
weights = log_weights.copy(data=np.exp(log_weights.values))
over = ["chain", "draw"]
print("the guide's means   ", guessed.mean(over).values[0].round(2))
print("weighted means      ", guessed.weighted(weights).mean(over).values[0].round(2))

# %% [markdown]
# ## The posterior itself: Markov chains
#
# The No-U-Turn sampler needs no weights: its draws are of p(z|x), once chains that started apart
# agree, which R-hat near 1 says. It takes seconds for a digit, so it is for a few.

# %%
chains = run.posterior(CHAIN_DRAWS, by="nuts", limit=DIGITS, warmup=WARMUP, chains=2)
print(chains.children["diagnostics"].to_dataset())
drawn = chains.children["posterior"].to_dataset()["z"]
print("the chains' means   ", drawn.mean(over).values[0].round(2))
print("their deviations    ", drawn.std(over).values[0].round(2))
print("the guide's         ", guessed.std(over).values[0].round(2))
print("draws of all digits ", arviz_base.extract(chains).shape)  # chains one after the other

# %% [markdown]
# ## Is the guide calibrated?
#
# Codes and digits are drawn from the model, so that the true code of each digit is known. Its rank
# among draws of the guide should be uniform. A line that rises and falls says that the guide is
# too narrow, which a guide of independent coordinates is wherever the posterior's depend on each
# other.

# %%
found = simulation_based_calibration(run.model, run.guide, simulations=SIMULATIONS, draws=RANKED)
print(f"p-value {found.p_value:.2g}")
calibration_figure(found)
