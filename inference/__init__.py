"""Inference for any Pyro pair: the objective, loss hooks, SVI, checkpoints, importance-sampled likelihoods."""

from .check import PairError, PairFacts, check_pair, pair_parameters
from .hooks import Batch, Hook
from .objective import Loss, Objective, gradients
from .sites import Plate, Program, Runner, Site
from .terms import Term, Terms
from .weights import Capacity, Constant, FreeBits, LinearWarmup, Weight

__all__ = [
    "Batch",
    "Capacity",
    "Constant",
    "FreeBits",
    "Hook",
    "LinearWarmup",
    "Loss",
    "Objective",
    "PairError",
    "PairFacts",
    "Plate",
    "Program",
    "Runner",
    "Site",
    "Term",
    "Terms",
    "Weight",
    "check_pair",
    "gradients",
    "pair_parameters",
]
