# %% [markdown]
# # What moves, and what stays?
#
# The static/dynamic model gives every sequence one *static* code and every frame a *dynamic* one.
# It sees a few frames of each sequence at a time, in no order. Here it is trained on digits that
# wander through the image; it is told neither which digit it is nor where. Afterwards: what each
# code knows, one clip's digit on another's way, and new frames of a digit that was never seen.
# Open this file as a notebook in Jupyter (with jupytext) or VS Code, or run it as a script. For
# sequences of your own, change `DATA` to their path and drop `DATA_OPTIONS`; docs/sequences.md
# says what may lie there.

# %%
# %matplotlib inline
import unbraid
from unbraid.analysis import (
    KnownSequences,
    clip_reconstructions,
    dynamic_manifold,
    leakage,
    leakage_figure,
    nearest_neighbours,
    new_frames,
    new_identities,
    prior_figure,
    sequence_codes,
    swap_animation,
    swap_figure,
    trajectory_figure,
)
from unbraid.data import Batches, Dataset

# %% tags=["parameters"]
OUT, STEPS, SHOWN = "runs/what-moves", 4000, 200
DATA = "moving-mnist"
DATA_OPTIONS = {"form": "svg", "digits": 1, "size": 32, "digit_size": 16, "sequences": 5000}

# %% [markdown]
# ## Train
#
# Two numbers for what moves, sixteen for what stays; three frames of each sequence at a time.

# %%
run = unbraid.train(
    "static-dynamic",
    data=DATA,
    data_options=DATA_OPTIONS,
    out=OUT,
    steps=STEPS,
    batch_size=32,
    options={"static_dim": 16, "dynamic_dim": 2, "frames": 3, "likelihood": "normal"},
    force=True,
    progress=False,
)
clips = Batches(run.data.test, SHOWN, shuffle=False, device=run.device).batch(0)["x"].clone()

# %% [markdown]
# Clips, and what is decoded from their codes.

# %%
clip_reconstructions(run.model, run.guide, clips)

# %% [markdown]
# ## What does each code know?
#
# The same probe is trained on the codes of training clips and asked about held-out ones: which
# digit it is, and where. Static codes should know the digit alone, dynamic ones the place alone.


# %%
def known(part: Dataset) -> KnownSequences:
    """Codes of a part of the data, and the truth."""
    batches = Batches(part, 50, shuffle=False, device=run.device)
    codes = sequence_codes(run.model, run.guide, batches)
    return KnownSequences(codes.static, codes.dynamic, part.factors, part.frame_factors)


found = leakage(
    known(run.data.train),
    known(run.data.test),
    sequence_names=["digit"],
    frame_names=run.data.test.frame_factor_names,
    max_rows=5000,
)
print(found.summary())
leakage_figure(found)

# %% [markdown]
# ## The dynamic space
#
# The plane of the two dynamic numbers, decoded for several clips: the same place is the same
# motion for all of them.

# %%
dynamic_manifold(run.model, run.guide, clips)

# %% [markdown]
# Along one clip, with the learned prior as a band.

# %%
trajectory_figure(run.model, run.guide, clips)

# %% [markdown]
# ## Recombine
#
# The digit at left, where the clip on top has it.

# %%
swap_figure(run.model, run.guide, clips[:5], clips[5:6])

# %%
path = run.folder / "swap.gif"
swap_animation(run.model, run.guide, clips[:5], clips[5:8], path=path)
print("animation", path)

# %% [markdown]
# ## New frames of a known digit, and new digits

# %%
new_frames(run.model, run.guide, clips)

# %%
new_identities(run.model)

# %% [markdown]
# The learned prior p(z|f) of a clip, against where its frames are.

# %%
prior_figure(run.model, run.guide, clips)

# %% [markdown]
# Which clips are alike, and which frames are.

# %%
nearest_neighbours(run.model, run.guide, clips)

# %% [markdown]
# ## How likely are held-out clips?
#
# Given the static code, frames are independent: their weights are averaged frame by frame.

# %%
judged = run.evaluate(samples=20, inner_samples=10, limit=20, progress=False)
print(f"log p of 3 frames {judged['log_likelihood']:.1f} +- {judged['log_likelihood_se']:.1f}")
print("report", run.report())
