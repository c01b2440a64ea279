# %% [markdown]
# # What do labels say, and what is left?
#
# Labels can be given for every image, for a few of them, or only as the knowledge that some images
# are of one kind. Here each is tried on handwritten digits: the style apart from the digit, a
# class learned from ten labels each, and what the images of a group share. Then half of an image
# is hidden and completed, and the runs are compared. Open this file as a notebook in Jupyter (with
# jupytext) or VS Code, or run it as a script.

# %%
# %matplotlib inline
from typing import Any

import torch

import unbraid
from unbraid.analysis import (
    comparison_chart,
    comparison_text,
    completion_figure,
    conditional_grid,
    style_transfer,
    swap_figure,
)
from unbraid.data import Batches
from unbraid.inference import masked_posterior

# %% tags=["parameters"]
OUT, STEPS = "runs/what-labels-say", 2000
SAMPLES, LIMIT = 200, 200


# %%
def trained(name: str, method: str, **further: Any) -> unbraid.Run:
    """Train a method on the digits, and keep the run under a name."""
    return unbraid.train(
        method,
        data="mnist-small",
        out=f"{OUT}/{name}",
        steps=STEPS,
        binarise="dynamic",
        force=True,
        progress=False,
        **further,
    )


# %% [markdown]
# ## Every label is known: digit times style
#
# The conditional VAE is told the digit. Its code need not say it again, and is left with the
# style: slant, width, stroke. It is kept short, since room to spare would be used to say the digit
# after all. A VAE that is told nothing is trained beside it, to compare.

# %%
vae = trained("vae", "vae", options={"latent_dim": 4})
cvae = trained("cvae", "cvae", options={"latent_dim": 4})

# %% [markdown]
# Along a row the digit stays, along a column the code. If the rows looked alike, the label would
# be ignored.

# %%
digits, names = torch.arange(10, device=cvae.device), list(cvae.data.test.label_names)
conditional_grid(cvae.model, digits, names)

# %% [markdown]
# The style of the image at left in all ten digits.

# %%
test = Batches(cvae.data.test, 8, shuffle=False, device=cvae.device).batch(0)
images, labels = test["x"].clone(), test["label"].clone()
style_transfer(cvae.model, cvae.guide, images, labels, digits, names)

# %% [markdown]
# Nothing forces the digit out of the code, so ask: probes learn it from the codes of training
# images and are judged on test images. Means betray the least trace, samples only what stands out
# of the noise of the posterior. A guess is right once in ten times; what exceeds it shows in the
# grid, in columns where some digits come out as others.


# %%
told = cvae.probe_condition()["label"]
for kind in ("of_means", "of_samples"):
    print(kind, {probe: round(score, 3) for probe, score in told[kind]["score"].items()})

# %% [markdown]
# ## A few labels
#
# M2 learns from all images, and from the ten of each class whose label it is shown. It says the
# class of new images. For a while the code is dear (`warmup`), so that classes are used before it.

# %%
m2 = trained(
    "m2",
    "m2",
    batch_size=50,
    options={"latent_dim": 20, "alpha": 1, "warmup": STEPS // 2},
    data_options={"labels_per_class": 10},
)
print(m2.judge_labels())

# %% [markdown]
# Images of a class that is asked for. A row with two digits in it is a class that is not learned.

# %%
conditional_grid(m2.model, digits, names)

# %% [markdown]
# ## Groups
#
# No label is shown now, only that eight images are of one kind. The group VAE has one code for
# what they share, accumulated over them, and one for the rest of each. The latter is kept short,
# or it would say the digit too.

# %%
groups = trained(
    "groups",
    "group-vae",
    batch_size=32,
    options={"static_dim": 8, "dynamic_dim": 3, "frames": 8},
    data_options={"groups": "label"},
)

# %% [markdown]
# What the group at left shares, with the items' own codes of the group on top: its digit in their
# styles.

# %%
every = Batches(groups.data.test, 250, shuffle=False, device=groups.device).batch(0)
of_each = [int((every["label"] == digit).nonzero()[0]) for digit in range(10)]
eights = every["x"][of_each].clone()
swap_figure(groups.model, groups.guide, eights, eights[4:5])

# %% [markdown]
# Probes of both codes: the shared one should know the digit, the items' own should not.

# %%
for row in groups.score_codes()["leakage"]:
    if row["factor"] == "label":
        print(f"digit from the {row['codes']} code {row['score']:.3f}")

# %% [markdown]
# ## Half of an image
#
# From the pixels that are seen the posterior of the code is found anew: a Normal is fitted to each
# image, and draws of it are weighed. Completions are the images that these draws decode to. Their
# weights are shares of all 1000 draws: those of a good fit are all near 0.1 %.
# `unbraid complete FOLDER` does the same.

# %%
completed = vae.complete("lower", count=6, draws=6, progress=False)
for remark in completed.posterior.remarks:
    print(remark)
completed.figure()

# %% [markdown]
# The conditional VAE completes half a digit as any digit that it is told. log p(seen | digit) then
# says which digits the half may be of: with a tenth for each at first, these are the shares.

# %%
seen = torch.zeros(28, 28, dtype=torch.bool, device=cvae.device)
seen[14:] = True
as_any = {"x": images[4:5].expand(10, -1, -1, -1), "label": digits}
found = masked_posterior(
    cvae.model, cvae.guide, as_any, seen, keys=("x", "label"), by="svi", draws=4
)
for name, share in zip(names, found.log_evidence.softmax(0).tolist(), strict=True):
    print(f"{name}: {share:.3f}")
completion_figure(as_any["x"], seen, found, title="One half, completed as each digit")

# %% [markdown]
# ## Which run is better?
#
# `evaluate` estimates log p(x) by importance sampling, of the conditional VAE log p(x|c): what the
# label tells need not be paid for. Differences are of the same images, whose error is far smaller
# than that of each mean. M2 has the longer code too, and labels alone are worth log 10 = 2.30 nats
# at most to models that have converged. Where k-hat is above 0.7 the values are lower bounds.

# %%
runs = [vae, cvae, m2]
for run in runs:
    run.evaluate(samples=SAMPLES, limit=LIMIT, codes=False, progress=False)
comparison = unbraid.compare([run.folder for run in runs])
print(comparison_text(comparison))
comparison_chart(comparison)

# %% [markdown]
# What probes of posterior means tell of the digit, of all three: the VAE needs the digit in its
# codes, the others do not.

# %%
for run in runs:
    told = run.score_codes()["of"]["z"]["told"]["label"]
    print(run.folder.name, {probe: round(score, 3) for probe, score in told["score"].items()})

# %% [markdown]
# `unbraid compare` writes the same table, and `run.report()` puts each run on a page.

# %%
print("report", cvae.report())
