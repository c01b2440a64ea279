"""Loss hooks by name, to join the loss of any method: `--hook factor:gamma=6`."""

from .adding import Addition, add_hooks, code_size
from .attributes import Attribute, find_attribute
from .index import HOOKS, find_hook
from .reading import hook_module, hook_options, read_hook

__all__ = [
    "HOOKS",
    "Addition",
    "Attribute",
    "add_hooks",
    "code_size",
    "find_attribute",
    "find_hook",
    "hook_module",
    "hook_options",
    "read_hook",
]
