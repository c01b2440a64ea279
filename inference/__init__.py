"""Inference for any Pyro pair: objective, hooks, SVI, checkpoints, likelihood evaluation."""

from .adversary import Adversary
from .annealed_result import AnnealedLikelihood, BidirectionalBounds
from .annealing import annealed_log_likelihood
from .atomic import check_writable, write_atomically, write_json_atomically
from .average import AveragedPair
from .bidirectional import bidirectional_bounds
from .calibration import Calibration, simulation_based_calibration
from .check import (
    PairError,
    PairFacts,
    check_pair,
    pair_parameters,
    require_floats,
    require_tensors,
    told_of_bytes,
)
from .checkpoint import Checkpoints, CheckpointWarning
from .checkpoint_folder import CheckpointError
from .clamped_reconstruction import ClampedReconstruction
from .code_cycle import CodeCycle
from .code_similarity import CodeSimilarity
from .critic_schedule import CriticSchedule
from .device import device_of, resolve_device
from .diagnostics import pareto_k, tail_length
from .dip import DIP
from .domain_examples import DomainsOneSided
from .eligibility import NoLikelihoodError, mask_of
from .emphasis import Emphasis
from .evaluating import own_noise
from .examples import (
    AgainstPermuted,
    AgainstPrior,
    Examples,
    Labelled,
    TwoSamples,
    View,
    WithAttribute,
)
from .fairness import GroupAdversary, ProjectedAdversary
from .fairness_examples import SensitiveExamples
from .feature_similarity import FeatureSimilarity
from .fit import FitResult, fit
from .fitted_likelihood import fitted_log_likelihood
from .fitted_result import FittedLikelihood
from .hold import Hold
from .hooks import Batch, CriticLoss, Hook, critic_adam
from .hsic import HSIC, kernel_dependence
from .image_examples import AgainstData, from_prior
from .implicit_divergence import ImplicitDivergence
from .importance_weighted import ImportanceWeighted
from .interrupts import Interrupts
from .joint_examples import AgainstMoments, JointAgainstPrior
from .likelihood import log_likelihood
from .lock import FolderLock, RunInUseError
from .log_likelihood_result import LogLikelihood
from .masked_posterior import masked_posterior
from .masked_result import MaskedPosterior
from .metrics import read_metrics
from .mixing import MixingCycle, WhichChunk
from .mixing_examples import MixedImages, chunk_size
from .mmd import MMD, squared_mmd
from .nonfinite import NonFiniteError
from .objective import Loss, Objective, gradients
from .posterior_chains import PosteriorChains, posterior_chains
from .predictability import Predictability
from .proposal import Proposal
from .scene import SceneDiscriminator
from .sequence_discrimination import SequenceDiscrimination
from .sites import Plate, Program, Runner, Site, in_mode, modules_of
from .step import Step
from .supervision import Supervision
from .svi import SVI, fused_adam
from .swap_examples import SwappedByClass, SwappedPairs
from .swapped_reconstruction import SwappedReconstruction
from .target_rules import GRADIENT_PENALTIES
from .term import Term
from .terms import Terms
from .total_correlation import DivergenceParts, TotalCorrelation, divergence_parts
from .training_state import TrainingState
from .trial import HookError, try_hooks
from .validation import validation_bound
from .weights import (
    Capacity,
    Constant,
    FreeBits,
    LeftOut,
    LinearWarmup,
    SigmoidWarmup,
    Weight,
)

__all__ = [
    "DIP",
    "GRADIENT_PENALTIES",
    "HSIC",
    "MMD",
    "SVI",
    "Adversary",
    "AgainstData",
    "AgainstMoments",
    "AgainstPermuted",
    "AgainstPrior",
    "AnnealedLikelihood",
    "AveragedPair",
    "Batch",
    "BidirectionalBounds",
    "Calibration",
    "Capacity",
    "CheckpointError",
    "CheckpointWarning",
    "Checkpoints",
    "ClampedReconstruction",
    "CodeCycle",
    "CodeSimilarity",
    "Constant",
    "CriticLoss",
    "CriticSchedule",
    "DivergenceParts",
    "DomainsOneSided",
    "Emphasis",
    "Examples",
    "FeatureSimilarity",
    "FitResult",
    "FittedLikelihood",
    "FolderLock",
    "FreeBits",
    "GroupAdversary",
    "Hold",
    "Hook",
    "HookError",
    "ImplicitDivergence",
    "ImportanceWeighted",
    "Interrupts",
    "JointAgainstPrior",
    "Labelled",
    "LeftOut",
    "LinearWarmup",
    "LogLikelihood",
    "Loss",
    "MaskedPosterior",
    "MixedImages",
    "MixingCycle",
    "NoLikelihoodError",
    "NonFiniteError",
    "Objective",
    "PairError",
    "PairFacts",
    "Plate",
    "PosteriorChains",
    "Predictability",
    "Program",
    "ProjectedAdversary",
    "Proposal",
    "RunInUseError",
    "Runner",
    "SceneDiscriminator",
    "SensitiveExamples",
    "SequenceDiscrimination",
    "SigmoidWarmup",
    "Site",
    "Step",
    "Supervision",
    "SwappedByClass",
    "SwappedPairs",
    "SwappedReconstruction",
    "Term",
    "Terms",
    "TotalCorrelation",
    "TrainingState",
    "TwoSamples",
    "View",
    "Weight",
    "WhichChunk",
    "WithAttribute",
    "annealed_log_likelihood",
    "bidirectional_bounds",
    "check_pair",
    "check_writable",
    "chunk_size",
    "critic_adam",
    "device_of",
    "divergence_parts",
    "fit",
    "fitted_log_likelihood",
    "from_prior",
    "fused_adam",
    "gradients",
    "in_mode",
    "kernel_dependence",
    "log_likelihood",
    "mask_of",
    "masked_posterior",
    "modules_of",
    "own_noise",
    "pair_parameters",
    "pareto_k",
    "posterior_chains",
    "read_metrics",
    "require_floats",
    "require_tensors",
    "resolve_device",
    "simulation_based_calibration",
    "squared_mmd",
    "tail_length",
    "told_of_bytes",
    "try_hooks",
    "validation_bound",
    "write_atomically",
    "write_json_atomically",
]
