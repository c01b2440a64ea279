"""The arguments of pairs that know their sequences by index."""

from torch import Tensor


def length_and_index(
    length: Tensor | None, index: Tensor | None, ragged: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Return lengths and indices, int64 `(B,)` or None, from what follows `x` in a call.

    Programs are called with the entries of a batch in order, and sequences that are all of one
    length have no lengths: what alone follows `x` is then their index.

    Args:
        length: The first argument behind `x`.
        index: The second.
        ragged: Whether the sequences come with lengths.
    """
    return (length, index) if ragged or index is not None else (None, length)
