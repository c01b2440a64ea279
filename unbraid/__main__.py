"""The command line: reads the words, runs the command, and ends with its exit code."""

import os
import sys
import traceback
from collections.abc import Sequence

from . import __version__
from .console import complain, plain_warnings
from .exit_codes import CLOSED_OUTPUT, DONE, INTERRUPTED, USAGE, describe, exit_code


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        words: Without the program's name; those that it was started with unless given.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if words is None else words)
    debug = "--debug" in given or os.environ.get("UNBRAID_DEBUG") == "1"
    words = [word for word in given if word != "--debug"]
    try:
        with plain_warnings():
            code = _run(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _leave_closed_output()
        return CLOSED_OUTPUT
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        text, code = describe(error), exit_code(error)
        if code == USAGE and ". " not in text:
            text += f". See unbraid {words[0]} --help"
        complain(text)
        return code


def _run(words: list[str]) -> int:
    if words == ["--version"]:
        print(__version__)
        return DONE
    from .arguments import parse

    try:
        return parse(words).run()
    except SystemExit as stop:
        return int(stop.code or DONE)


def _leave_closed_output() -> None:
    """Point standard output at nothing, so that the interpreter's own last flush does not fail."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())
