"""The list of loss hooks that have a name on the command line: add a line here for a new one."""

from difflib import get_close_matches
from typing import NamedTuple

from unbraid.methods import OptionError


class Entry(NamedTuple):
    """A hook of the list: the module of its `Options` and `build`, and one line on it."""

    module: str
    summary: str


HOOKS: dict[str, Entry] = {
    "tc": Entry("tc", "total correlation of a code's dimensions, by minibatch (Chen 2018)"),
    "factor": Entry(
        "factor", "total correlation of codes by a critic's density ratio (Kim & Mnih 2018)"
    ),
    "dip": Entry("dip", "covariance of codes over the data held at the identity (Kumar 2018)"),
    "mmd": Entry("mmd", "kernel distance of the codes from their prior (Zhao 2017)"),
    "hsic": Entry("hsic", "kernel dependence of a code on another, or on labels (Lopez 2018)"),
    "prior": Entry("prior", "a critic that tells codes from draws of the prior (Makhzani 2016)"),
    "predictability": Entry(
        "predictability",
        "predictors of each coordinate from the others, to be prevented (Schmidhuber 1992)",
    ),
    "attribute": Entry(
        "attribute", "a critic that reads a label or factor from a code (Ganin 2015, Tzeng 2015)"
    ),
    "scene": Entry(
        "scene",
        "a critic that tells from two frames' codes whether they are of one sequence "
        "(Denton 2017)",
    ),
}


def find_hook(name: str) -> Entry:
    """Return the entry of a hook.

    Raises:
        OptionError: If there is no such hook; names the nearest one.
    """
    if name in HOOKS:
        return HOOKS[name]
    close = get_close_matches(name, HOOKS, n=1)
    hint = f"Did you mean {close[0]}?" if close else "Run `unbraid hooks` for what each one is."
    raise OptionError(f"hook is {name!r}; expected one of {', '.join(HOOKS)}. {hint}")
