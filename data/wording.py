"""Numbers of things in words."""


def counted(count: int, things: str) -> str:
    """Return a number and what it counts, in the singular where it is one.

    Args:
        count: How many there are.
        things: Their name in the plural.
    """
    if count != 1:
        return f"{count:,} {things}"
    return f"1 {things.removesuffix('ies')}y" if things.endswith("ies") else f"1 {things[:-1]}"


def are(count: int) -> str:
    """Return the verb of so many things."""
    return "is" if count == 1 else "are"
