"""Methods by name. This module imports no torch, so that a command line answers at once."""

from .given import Given
from .index import METHODS, Entry, find_method
from .method import DataSpec, Method, Parts, load_method
from .options import OptionError, critic_in_range, in_range, integer_in_range, read_options
from .stored import build_stored, judged_weights

__all__ = [
    "METHODS",
    "DataSpec",
    "Entry",
    "Given",
    "Method",
    "OptionError",
    "Parts",
    "build_stored",
    "critic_in_range",
    "find_method",
    "in_range",
    "integer_in_range",
    "judged_weights",
    "load_method",
    "read_options",
]
