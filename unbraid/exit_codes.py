"""How the command line ends: an exit code and one line for every kind of error."""

import os

DONE = 0
UNEXPECTED = 1
USAGE = 2
BAD_DATA = 3
MISMATCH = 4
NON_FINITE = 5
ENVIRONMENT = 6
INTERRUPTED = 130
CLOSED_OUTPUT = 141

# By name, as the homes of some import torch. The nearest class that an error derives from counts.
EXIT_CODES = {
    "OptionError": USAGE,
    "RunExistsError": USAGE,
    "ValueError": USAGE,
    "DataError": BAD_DATA,
    "ConfigError": MISMATCH,
    "CheckpointError": MISMATCH,
    "NonFiniteError": NON_FINITE,
    "OSError": ENVIRONMENT,
    "RunInUseError": ENVIRONMENT,
    "MemoryError": ENVIRONMENT,
    "OutOfMemoryError": ENVIRONMENT,
    "KeyboardInterrupt": INTERRUPTED,
    "BrokenPipeError": CLOSED_OUTPUT,
}


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error; 1 for one that nobody foresaw."""
    kinds = (kind.__name__ for kind in type(error).__mro__)
    return next((EXIT_CODES[name] for name in kinds if name in EXIT_CODES), UNEXPECTED)


def describe(error: BaseException) -> str:
    """Say in one line what went wrong and what to do next."""
    text = " ".join(_own_words(error).split())
    name = type(error).__name__
    if exit_code(error) == UNEXPECTED:
        return f"unexpected {name}: {text}. Add --debug to see where"
    if name in ("MemoryError", "OutOfMemoryError"):
        return f"memory ran out ({text}). Choose a smaller --batch-size or smaller nets"
    return text or name


def _own_words(error: BaseException) -> str:
    """The message; of a system error without its number, with its path where it is not named."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    path = "" if error.filename is None else os.fspath(error.filename)
    return error.strerror if str(path) in error.strerror else f"{path}: {error.strerror}"
