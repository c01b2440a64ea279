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
        "How many nats about the image each latent dimension carries. Bars near zero are "
        "dimensions that the model does not use.",
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
    "training": Caption(
        "Training",
        "Per image, by step. Validation values that fall behind while training values "
        "still improve show overfitting.",
    ),
}


def caption(name: str) -> Caption:
    """Return the caption of a figure named `KIND` or `KIND-SITE`; other names head themselves."""
    kind, _, site = name.partition("-")
    known = CAPTIONS.get(kind)
    if known is None:
        return Caption(name, "")
    return known._replace(heading=f"{known.heading} of {site}") if site else known
