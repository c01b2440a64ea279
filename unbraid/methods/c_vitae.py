"""C-VITAE: the appearance is inferred from the image un-warped by its perspective."""

from . import vitae
from .method import DataSpec, Parts

CITATION = vitae.CITATION
Options = vitae.Options


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair for the given data."""
    return vitae.build(options, data, conditional=True)
