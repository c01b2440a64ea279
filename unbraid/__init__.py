"""Pull the factors of variation in images and videos apart.

The names below are imported when they are first used, so that `import unbraid` and the command
line's help need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparing import compare
    from .load_run import load
    from .run import Run
    from .training import train
    from .turning import turn

__version__ = "0.1.0.dev0"
__all__ = ["Run", "__version__", "compare", "load", "train", "turn"]

_HOMES = {
    "Run": ".run",
    "compare": ".comparing",
    "load": ".load_run",
    "train": ".training",
    "turn": ".turning",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
