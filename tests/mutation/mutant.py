"""What a mutant is: one wrong piece of text in one file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A bug to seed.

    Args:
        name: Unique, lower case.
        kind: What sort of mistake it is, in words.
        file: Path of the file, from the repository's root.
        old: Text that occurs there exactly once.
        new: What takes its place.
        seen: A public thread about a shipped bug of this kind; empty where none is known.
    """

    name: str
    kind: str
    file: str
    old: str
    new: str
    seen: str = ""

    def apply(self, source: str) -> str:
        """Return the source with the bug in it.

        Raises:
            ValueError: If the old text does not occur exactly once, or nothing changes.
        """
        count = source.count(self.old)
        if count != 1 or self.old == self.new:
            raise ValueError(
                f"mutant {self.name!r}: its old text occurs {count} times in {self.file}; "
                "expected once. Bring the catalogue up to the code"
            )
        return source.replace(self.old, self.new)
