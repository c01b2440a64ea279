"""All mutants: bugs of kinds that have shipped elsewhere, seeded into the estimators.

They were written from the sources alone, before their author had read a test; all but
`static-code-in-every-frame`, which took the place of one that changed nothing, and those of
adversaries and of importance-weighted training, which were written with their tests.
"""

from .mutants_of_adversaries import ADVERSARIES
from .mutants_of_bound import BOUND
from .mutants_of_critics import CRITICS_OF_ADVERSARIES
from .mutants_of_densities import DENSITIES
from .mutants_of_evidence import EVIDENCE
from .mutants_of_importance_weighting import IMPORTANCE_WEIGHTING

MUTANTS = (
    *BOUND,
    *ADVERSARIES,
    *CRITICS_OF_ADVERSARIES,
    *EVIDENCE,
    *DENSITIES,
    *IMPORTANCE_WEIGHTING,
)
