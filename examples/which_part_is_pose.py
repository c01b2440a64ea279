# %% [markdown]
# # Which part of my data is pose?
#
# C-VITAE splits an image into an *appearance*, which decodes to a canonical image, and a
# *perspective*, which warps that image into place. Here it is trained on digits that were turned
# and shifted at random, and never told so. Afterwards: what was turned out of the images, what is
# left, and whether the two parts keep to themselves. Open this file as a notebook in Jupyter (with
# jupytext) or VS Code, or run it as a script. For images of your own, change `DATA` to their path
# and drop `AUGMENT`.

# %%
# %matplotlib inline
import unbraid
from unbraid.analysis import (
    align,
    alignment_figure,
    deformation_figure,
    gamma_figure,
    kl_chart,
    kl_per_dimension,
    knn_accuracy,
    posterior_means,
    transfer_figure,
    traversal_animation,
    traversals,
    warp_model,
)
from unbraid.data import Batches

# %% tags=["parameters"]
OUT, STEPS, SHOWN = "runs/which-part-is-pose", 4000, 1000
DATA, AUGMENT = "mnist-small", {"binarise": "dynamic", "rotate": 20, "translate": 0.1}

# %% [markdown]
# ## Train
#
# Four numbers describe the perspective and eight the appearance. The warp is affine here; `cpab`
# warps more freely, and `similarity+cpab` puts one after the other.

# %%
run = unbraid.train(
    "c-vitae",
    data=DATA,
    out=OUT,
    steps=STEPS,
    options={"transform": "affine", "appearance_dim": 8, "perspective_dim": 4},
    force=True,
    progress=False,
    **AUGMENT,
)
test = run.data.test
digits = Batches(test, SHOWN, shuffle=False, device=run.device).batch(0)
images, labels = digits["x"].clone(), digits["label"].clone()

# %% [markdown]
# ## How much does each part say?
#
# The divergence from the prior says how many nats of an image each latent carries.

# %%
kl = kl_per_dimension(run.model, run.guide, [images])
for site, nats in kl.items():
    print(f"{site:12} {nats.sum():.1f} nats")
kl_chart(kl)

# %% [markdown]
# ## Does the pose know the digit?
#
# It should not: five nearest neighbours, half of the images to look up and half to judge by.
# Chance is 0.1.

# %%
half = len(images) // 2
for site, codes in posterior_means(run.model, run.guide, [images]).items():
    found = knn_accuracy(codes[:half], labels[:half], codes[half:], labels[half:])
    print(f"digit from {site:12} {found.accuracy:.2f} +- {found.standard_error:.2f}")

# %% [markdown]
# ## What was turned out of the images
#
# `align` undoes the warp of every image. The sharper the mean image, the more of the variation was
# pose.

# %%
aligned = align(run.model, run.guide, images, labels=labels)
alignment_figure(aligned)

# %% [markdown]
# The warps themselves, as rotation, scale, stretch, shear and shift. The images were turned by up
# to 20 degrees and shifted by up to a tenth of their size, and hands slant by themselves.

# %%
warp, size = warp_model(run.model).transform, images.shape[-2:]
gamma_figure(warp, aligned.gamma, *size)

# %%
deformation_figure(warp, aligned.gamma[:5], *size)

# %% [markdown]
# ## Recombine
#
# The appearance of the image at left, in the perspective of the image on top.

# %%
transfer_figure(run.model, run.guide, images[:6], images[6:14])

# %%
traversals(run.model, run.guide, images, latent="perspective", kl=kl["perspective"])

# %%
traversals(run.model, run.guide, images, latent="appearance", kl=kl["appearance"])

# %% [markdown]
# A perspective that swings to and fro, as an animation.

# %%
path = run.folder / "perspective.gif"
traversal_animation(run.model, run.guide, images[:8], latent="perspective", path=path)
print("animation", path)

# %% [markdown]
# ## Is it a better model?
#
# `run.evaluate()` estimates log p(x), and `run.report()` writes all of this on one page. Train
# `"vae"` with the same `DATA` and `AUGMENT` to compare.

# %%
print("report", run.report())
