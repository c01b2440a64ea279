"""Loss hooks by name, to join the loss of any method: `--hook factor:gamma=6`."""

from .adding import add_hooks
from .index import HOOKS, find_hook
from .reading import hook_module, hook_options, read_hook

__all__ = ["HOOKS", "add_hooks", "find_hook", "hook_module", "hook_options", "read_hook"]
