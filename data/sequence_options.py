"""How the user's own films and folders of frames become sequences."""

from dataclasses import dataclass, fields

from .errors import DataError


@dataclass(frozen=True)
class SequenceOptions:
    """Options for folders of frames, GIF files and videos.

    Args:
        sequences: The images in each folder are the frames of one sequence; otherwise they are
            images on their own. GIF files that move and videos are sequences without it.
        identities: The first level of subfolders names who or what is shown: besides being labels
            these are groups, so none of them is both trained on and tested on.
        length: Cut every film into stretches of so many frames. What is left at its end is left
            out.
        every: Keep one of so many frames, beginning with the first.
        size: Height and width that frames are brought to, or one number for both; proportions are
            not kept.
        grey: Make one channel of the colours.

    Raises:
        DataError: If a number is out of range.
    """

    sequences: bool = False
    identities: bool = False
    length: int | None = None
    every: int = 1
    size: tuple[int, ...] | None = None
    grey: bool = False

    def __post_init__(self) -> None:
        if self.length is not None and self.length < 2:
            raise DataError(f"length is {self.length}; expected at least 2 frames")
        if self.every < 1:
            raise DataError(f"every is {self.every}; expected at least 1, which keeps all frames")
        if self.size is not None and (len(self.size) not in (1, 2) or min(self.size) < 1):
            given = ",".join(map(str, self.size))
            raise DataError(f"size is {given}; expected height,width or one number, at least 1")

    @property
    def height_width(self) -> tuple[int, int] | None:
        """The size that frames are brought to."""
        return None if self.size is None else (self.size[0], self.size[-1])

    def refuse_for(self, what: str) -> None:
        """Raise `DataError` if any of the options is set, because `what` has no use for them."""
        given = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        if given:
            raise DataError(
                f"options of {what} are {', '.join(given)}; expected none, which are for films "
                "and for folders of frames (sequences=true). Leave them out."
            )
