# %% [markdown]
# # Content and pose
#
# DrNet tells a clip's *content* from one frame and the *pose* from another one, and draws the
# second frame from both. A discriminator is asked whether two poses are of one clip, and poses are
# to leave it undecided. Here it is trained for some minutes on a digit that bounces through the
# image; nobody tells it which digit that is, nor where. Afterwards: whether the two parts keep to
# themselves, one digit on another's way, what lies between two poses, and how a clip goes on. Open
# this file as a notebook in Jupyter (with jupytext) or VS Code, or run it as a script. For clips
# of your own, change `DATA` to their path and drop `DATA_OPTIONS`; docs/sequences.md says what may
# lie there.
#
# So short a training shows where this goes, not what the method can do. What is said of numbers
# and pictures below is of these settings, one seed.

# %%
# %matplotlib inline
import torch

import unbraid
from unbraid.analysis import (
    KnownSequences,
    decode_frames,
    frames_between,
    hook_curves,
    horizon_figure,
    leakage,
    leakage_figure,
    nearest_neighbours,
    prediction_animation,
    prediction_figure,
    sequence_codes,
    swap_figure,
    training_curves,
)
from unbraid.data import Batches, Dataset

# %% tags=["parameters"]
OUT, STEPS, STEPS_AHEAD, SHOWN = "runs/content-and-pose", 2500, 1000, 200
DATA = "moving-mnist"
DATA_OPTIONS = {
    "form": "drnet",
    "digits": 1,
    "size": 32,
    "digit_size": 16,
    "sequences": 5000,
    "length": 30,
}

# %% [markdown]
# ## Train
#
# Five numbers for the pose, as published for digits, and 64 for the content. The published
# discriminator takes two poses side by side; `critic="pair"` is not of the paper, and compares
# their embeddings. `adversary` and `similarity` are the weights of the two losses beside the
# squared error.

# %%
run = unbraid.train(
    "drnet",
    data=DATA,
    data_options=DATA_OPTIONS,
    out=f"{OUT}/codes",
    steps=STEPS,
    batch_size=32,
    options={
        "nets": "conv",
        "channels": (16, 32, 64),
        "dynamic_dim": 5,
        "adversary": 0.1,
        "similarity": 0.001,
        "critic": "pair",
    },
    force=True,
    progress=False,
)
clips = Batches(run.data.test, SHOWN, shuffle=False, device=run.device).batch(0)["x"].clone()

# %% [markdown]
# The loss is that of all three parts together; codes are points, so that there is no bound.

# %%
history = run.result.history if run.result else []
training_curves(history, datum="frame")

# %% [markdown]
# The similarity falls as the contents of a clip become alike. The discriminator is right half of
# the time where poses tell it nothing. Here it stays at 0.54 to 0.58.

# %%
hook_curves(history, ["similarity", "scene"])

# %% [markdown]
# ## What does each part know?
#
# The same probe is trained on the codes of training clips and asked about held-out ones: which
# digit it is, and where. Content is to know the digit alone, the pose the place alone. Of the pose
# that is so: digits are told from it no better than by a guess (0.11), places with an R² of 0.94.
# Content knows nothing of places, but of digits only 0.40: much of what the adversary drove out of
# the pose has not yet come into the content.


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
# ## Analogies
#
# The digit at left, where the clip on top has it. Places are right, and a row keeps how wide and
# how bright its digit is, but not which digit it is. Nor are shapes those of the rows alone: in
# some columns all of them lean alike.

# %%
swap_figure(run.model, run.guide, clips[:5], clips[5:6])

# %% [markdown]
# Whether the decoder heeds the content: squared errors of frames decoded with the content of their
# own clip, with that of another clip, and of black frames in place of decoded ones. It does (8.0
# and 10.9 of 22.8); were the first two alike, the pose would say everything.

# %%
codes = sequence_codes(run.model, run.guide, [(clips,)])
another = codes.static.roll(1, 0)
shown = {
    "its own content": decode_frames(run.model, codes.static, codes.dynamic),
    "another clip's": decode_frames(run.model, another, codes.dynamic),
    "black frames": torch.zeros_like(clips),
}
for name, frames in shown.items():
    error = (frames.cpu() - clips.cpu()).square().sum((2, 3, 4)).mean()
    print(f"{name:16} {error:.2f}")

# %% [markdown]
# ## What lies between two poses
#
# The straight line from the pose of one frame to that of another, decoded; beneath, the way that
# the digit took, and a cross-fade of the two images, which is what a decoder would show that knows
# no pose. Here the first row is like the last: the digit fades in one place and comes up in
# another. Nothing in the loss asks that the line passes through poses of frames.

# %%
frames_between(run.model, run.guide, clips, places=(7, 18))

# %% [markdown]
# ## What is near
#
# Neighbours in content ought to have the same digit, neighbours in pose the same place, and those
# in both together both. In pose they do; in content they have the same weight of the pen, and the
# same digit now and then.

# %%
nearest_neighbours(run.model, run.guide, clips)

# %% [markdown]
# ## How a clip goes on
#
# The second stage leaves encoders and decoder as they are. An LSTM tells the next pose from those
# before, and frames are decoded from predicted poses and the content of the last frame that is
# seen. The first trajectory goes from mean to mean; samples draw every pose.

# %%
ahead = unbraid.train(
    "pose-prediction",
    data=DATA,
    data_options=DATA_OPTIONS,
    out=f"{OUT}/ahead",
    steps=STEPS_AHEAD,
    batch_size=32,
    options={"codes": f"{OUT}/codes", "n_past": 5, "n_future": 10},
    force=True,
    progress=False,
)
predicted = ahead.predict(past=5, samples=2, count=SHOWN)
prediction_figure(predicted)

# %% [markdown]
# PSNR and SSIM by horizon, beside those of the last frame that is seen, left standing, which has
# peaks where digits come back to where they were. From mean to mean the PSNR is higher than that
# (22.2 against 20.4 dB over ten frames), the SSIM hardly, and predicted digits are dim: what blurs
# is punished less than what is in the wrong place. Samples fall apart: the noise around the next
# pose leads where no frame's pose is, and the decoder draws streaks there. docs/prediction.md has
# the numbers of a pilot without an adversary.

# %%
summary = predicted.summary()
for name in ("psnr", "sampled_psnr", "copied_psnr"):
    of = summary[name]
    print(f"{name:12} {of['mean']:.2f} +- {of['standard_error']:.2f} dB")
horizon_figure(predicted)

# %%
path = ahead.folder / "predicted.gif"
prediction_animation(predicted, path)
print("animation", path)
print("report", run.report())
