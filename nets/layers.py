"""The names of layers of codes."""


def layer_names(count: int) -> tuple[str, ...]:
    """Return the sites of `count` layers of a frame's codes, top first.

    One layer is `dynamic`; more are `dynamic_2`, `dynamic_1` and so on, numbered from the frame
    up.

    Raises:
        ValueError: If there is no layer.
    """
    if count < 1:
        raise ValueError(f"layers are {count}; expected at least 1. Give a net for each.")
    if count == 1:
        return ("dynamic",)
    return tuple(f"dynamic_{place}" for place in range(count, 0, -1))
