"""What a reader should look for in each figure of a report."""

from typing import NamedTuple


class Caption(NamedTuple):
    """Heading of a figure and what to look for in it."""

    heading: str
    text: str


CAPTIONS = {
    "bounds": Caption(
        "Bound by number of samples",
        "The curve rises towards log p(x). Where it is still rising at its right end, more "
        "samples would give a higher number; where it is flat, they would not.",
    ),
    "kl": Caption(
        "Divergence by dimension",
        "How many nats about the {datum} each latent dimension carries. Bars near zero are "
        "dimensions that the model does not use.",
    ),
    "graph": Caption(
        "Model and guide",
        "Arrows go from what a distribution depends on. A frame stands for as many copies as "
        "there are data, or frames of one sequence.",
    ),
    "codes": Caption(
        "Codes",
        "The posterior mean of each datum, in the two dimensions that carry most, with some "
        "pictures at their places. Groups of a colour are found by the code; what lies far from "
        "all others is worth a look.",
    ),
    "posteriors": Caption(
        "Posteriors of single data",
        "What the guide leaves open about single data, over the codes of all of them (grey). "
        "Ellipses much smaller than the prior carry much of the datum; as large as it, nothing. "
        "Where the prior reaches beyond the grey, samples decode codes that no datum has.",
    ),
    "aggregate": Caption(
        "Aggregate posterior",
        "Draws from the posteriors of all data together, against the prior, with mean ± "
        "standard deviation. Where bars and curve part, samples from the prior meet codes that "
        "training did not.",
    ),
    "factors": Caption(
        "Codes and factors",
        "I / H is the share of a factor's entropy that one code holds; |rank corr.| is Spearman's "
        "correlation. Disentangled codes have one dark cell in a row, and factors one in a "
        "column; factors of many values look a little darker than they are.",
    ),
    "interpolations": Caption(
        "Interpolations",
        "Left and right of the lines two images; between them what is decoded on the way from one "
        "code to the other. Each step should look like data: blends of both images, or sudden "
        "jumps, show codes that nothing was trained on.",
    ),
    "calibration": Caption(
        "Calibration of the guide",
        "Ranks of true codes among the guide's draws, by data that the model drew, less uniform "
        "ones. Lines within the grey band are not refuted. One that rises and then falls is of a "
        "guide that is too narrow there, the other way round of one too wide; to a side, it "
        "leans.",
    ),
    "hooks": Caption(
        "Loss hooks",
        "The penalty of each hook, with its weight, and how often its critic tells its examples "
        "apart. A critic of two samples that is right half of the time has nothing left to find, "
        "or cannot find it; one that is always right has won, and the penalty teaches little.",
    ),
    "reconstructions": Caption(
        "Reconstructions",
        "Each image above the mean image decoded from its code. Look for what is lost: fine "
        "strokes, rare shapes, another class.",
    ),
    "samples": Caption(
        "Samples from the prior",
        "Mean images of codes drawn from the prior. They should look like data: blends of "
        "several classes show holes between the codes of the data and the prior.",
    ),
    "alignment": Caption(
        "Alignment",
        "The mean of the images as they are, and with the warp of each undone. The sharper it "
        "gets and the less variance is left, the more of what varies is perspective. "
        "Interpolation takes some variance too, but sharpens nothing.",
    ),
    "transfer": Caption(
        "Appearances in other perspectives",
        "Left of the line and above it: images. Elsewhere: the appearance of its row in the "
        "perspective of its column. Along a row what is shown should stay; along a column, its "
        "place and slant.",
    ),
    "warps": Caption(
        "What the warps do",
        "The warp of each image as rotation, scale, stretch, shear and shift; what no such map "
        "does is deformation. What is the same in all images is left out.",
    ),
    "lattices": Caption(
        "Warped lattices",
        "The frame of the image is grey; the lines show where the warp of each of the first "
        "images takes a square lattice.",
    ),
    "traversals": Caption(
        "Traversals",
        "Each row moves one dimension, the most informative on top; the middle column is the "
        "start. A disentangled dimension changes one factor, and only that one.",
    ),
    "manifold": Caption(
        "Decoded plane",
        "Images decoded over two dimensions, evenly spaced in the prior's quantiles. Look for "
        "smooth changes; sharp borders separate classes.",
    ),
    "swaps": Caption(
        "Swaps",
        "Frames of one sequence on top, one frame of others at the left; elsewhere what is static "
        "in the row's sequence, with the dynamics of the column's frame. Along a row the identity "
        "should stay, along a column the pose: whatever moves with the wrong one is entangled.",
    ),
    "dynamics": Caption(
        "Decoded plane of the dynamics",
        "The same grid of dynamic codes decoded with the static codes of several sequences, "
        "within what their learned priors cover. Poses should change smoothly and agree between "
        "panels at the same place; the identity should not change within one.",
    ),
    "prior": Caption(
        "Learned prior and frames",
        "Ellipses of the learned prior p(z|f) at 1 and 2 standard deviations, and what the guide "
        "makes of each sequence's frames. Where the prior fits, 39 % of the points are in the "
        "inner and 86 % in the outer ellipse; gaps inside are codes that no frame has.",
    ),
    "trajectory": Caption(
        "Trajectory",
        "Dynamic coordinates along a video, with some of its frames beneath. They should follow "
        "what is seen to move; a flat line, or a band as wide as the prior's, carries nothing.",
    ),
    "clips": Caption(
        "Reconstructions of sequences",
        "Frames above the mean images decoded from their codes, all frames of a sequence with one "
        "static code. Look for what is lost, and for poses that are blurred or wrong.",
    ),
    "new_frames": Caption(
        "New frames",
        "Left of the line true frames; right of it frames sampled from the learned prior p(z|f) "
        "of the same sequence. They should show the same identity in poses like those it takes.",
    ),
    "identities": Caption(
        "New sequences",
        "Each row has a static code drawn from the prior, each column the same dynamic codes. "
        "Rows should look like data, one identity each; a column should be in one pose.",
    ),
    "neighbours": Caption(
        "Nearest neighbours",
        "A frame; then the middle frames of the sequences nearest in static codes; then the "
        "frames of other sequences nearest in dynamic codes; then those nearest in both. The "
        "first should look alike, whatever their pose; the second should be posed alike, whoever "
        "they are; the last should be like the frame itself, if there are any such.",
    ),
    "between": Caption(
        "Between two frames",
        "From the dynamic code of one frame straight to that of another, decoded with the static "
        "code of the sequence. What moves should move on, not fade as in the last row, and the "
        "identity should stay. The frames between need not lie on a straight line.",
    ),
    "predicted": Caption(
        "Predicted frames",
        "True frames above predicted ones; frames left of the line are seen, and above what their "
        "own codes decode to. No predicted image is looked at again, so what is drawn should stay "
        "sharp; where it goes is a guess that gets worse. `predicted.gif` shows all frames.",
    ),
    "horizon": Caption(
        "Prediction by horizon",
        "How near predicted frames are to the true ones, against how far ahead they are. The last "
        "frame that is seen, left standing, is what a prediction has to surpass.",
    ),
    "conditional_grid": Caption(
        "Conditions and codes",
        "Each row has one condition, each column one code. Along a row the condition should stay; "
        "along a column what the code says, such as slant and stroke, and nothing of the "
        "condition.",
    ),
    "style_transfer": Caption(
        "Codes under other conditions",
        "The code of the image left of the line, under each condition. The style should stay. "
        "Where it changes the class as well, or not at all, code and condition are not apart.",
    ),
    "completions": Caption(
        "Completions",
        "What is grey is hidden from the model. Right of the line the given part stays, and each "
        "column completes it with another code: they should fit it, and differ where it leaves "
        "something open.",
    ),
    "turns": Caption(
        "Objects turned by actions",
        "Left of the line the only view that is seen; right of it what actions turn it into, with "
        "the true views beneath. Each object should stay itself; what drifts or blurs with the "
        "angle is lost by the repeated action. `turns.gif` shows the whole turn.",
    ),
    "training": Caption(
        "Training",
        "Per {datum}, by step. Validation values that fall behind while training values "
        "still improve show overfitting.",
    ),
}


def caption(name: str, datum: str = "image") -> Caption:
    """Return the caption of a figure named `KIND` or `KIND-SITE`; other names head themselves.

    Args:
        name: Name of the figure.
        datum: What a datum is called, such as image or sequence.
    """
    kind, _, site = name.partition("-")
    known = CAPTIONS.get(kind)
    if known is None:
        return Caption(name, "")
    heading = f"{known.heading} of {site}" if site else known.heading
    return Caption(heading, known.text.format(datum=datum))
