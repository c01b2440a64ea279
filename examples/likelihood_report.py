# %% [markdown]
# # A likelihood report for a paper
#
# Two methods are trained on the same digits, and the question is which makes held-out digits more
# likely, by how much, and how sure that is. Here is what to compute, what to distrust, and what to
# write down. Open this file as a notebook in Jupyter (with jupytext) or VS Code, or run it as a
# script.

# %%
# %matplotlib inline
import numpy as np

import unbraid
from unbraid.analysis import (
    Evaluation,
    bounds_curve,
    comparison_chart,
    comparison_latex,
    comparison_text,
)
from unbraid.inference import bidirectional_bounds

# %% tags=["parameters"]
OUT, STEPS = "runs/likelihood-report", 2000
SAMPLES, LIMIT = 1000, 500
CHAINS, TEMPERATURES, ANNEALED = 8, 200, 20

# %% [markdown]
# ## Train, and judge on the same images
#
# Everything but the method is shared: data, binarisation, nets, steps, seed. Test digits are drawn
# black or white once, by the seed, so that both are judged on the same images; only then are
# differences per image meaningful.

# %%
folders = []
for method, options in (("vae", {}), ("beta-vae", {"beta": 4.0})):
    folders.append(f"{OUT}/{method}")
    run = unbraid.train(
        method,
        data="mnist-small",
        out=folders[-1],
        binarise="dynamic",
        steps=STEPS,
        options=options,
        force=True,
        progress=False,
    )
    run.evaluate(samples=SAMPLES, limit=LIMIT, progress=False)

# %% [markdown]
# ## One number, and its diagnostics
#
# The estimate of log p(x) is the logarithm of a mean of importance weights: for any number of
# samples K it lies *below* log p(x) on average, and rises with K. The standard error is over
# images; it does not hold that bias. Two things tell of it: the bound along K, which should be
# flat at its end, and Pareto k-hat, which above 0.7 says that few weights carry the mean.

# %%
run = unbraid.load(folders[0])
evaluation = run.evaluate(samples=SAMPLES, limit=LIMIT, progress=False)
print(
    f"log p(x) {evaluation['log_likelihood']:.2f} +- {evaluation['log_likelihood_se']:.2f} nats, "
    f"K = {SAMPLES}, n = {evaluation['n']}"
)
print("share of images whose k-hat is above 0.7:", evaluation["pareto_k_unreliable"])
bounds_curve(Evaluation(**evaluation))

# %% [markdown]
# ## When k-hat says no
#
# Annealed importance sampling walks from the prior or the guide to the posterior in small steps,
# and needs no good guide. It is slow, so a part of the images has to do. Where it comes out well
# above the importance samples of the same images, these were too low.

# %%
annealed = run.evaluate_annealed(
    CHAINS, TEMPERATURES, start="guide", limit=ANNEALED, progress=False
)
with np.load(f"{folders[0]}/evaluation.npz") as kept:
    sampled = kept["log_likelihood"][:ANNEALED].mean()
print(f"annealed   {annealed['log_likelihood']:.2f} nats, the first {annealed['n']} images")
print(f"importance {sampled:.2f} nats, the same images")

# %% [markdown]
# And is annealing to be believed? On digits that the model draws itself log p(x) can be bounded
# from both sides. A narrow gap says that these settings are good enough for such digits.

# %%
both = bidirectional_bounds(
    run.model,
    run.guide,
    size=min(ANNEALED, 8),
    chains=CHAINS,
    temperatures=TEMPERATURES,
    start="guide",
)
print(
    f"between {both.lower.mean():.2f} and {both.upper.mean():.2f} nats, gap {both.gap.mean():.2f}"
)

# %% [markdown]
# ## Which method is better?
#
# Standard errors over images are large, because some digits are far likelier than others under any
# model. The difference *per image* varies much less: compare it, not the two error bars.

# %%
compared = unbraid.compare(folders)
print(comparison_text(compared))

# %%
comparison_chart(compared)

# %% [markdown]
# The same table for the paper. It says K, n and the seed, without which a log-likelihood cannot be
# compared with anybody else's.

# %%
print(comparison_latex(compared))

# %% [markdown]
# ## What to write down
#
# - the estimator, K, the number of images, the seed, and how pixels were binarised;
# - the standard error over images, and the share of images whose k-hat is above 0.7;
# - differences as paired ones, with their error; several seeds of training, as one is an anecdote;
# - for cross-entropies of grey images, that they are no likelihoods: they cannot be compared with
#   those of black and white ones.
#
# `unbraid report` writes all of it to one page, with the command that makes the run again.

# %%
print(run.report())
