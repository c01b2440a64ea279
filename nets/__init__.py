"""Encoders, decoders and likelihoods: plain modules that broadcast over leading dims."""

from .accumulate import (
    ACCUMULATIONS,
    Accumulate,
    mean_of_items,
    product_of_items,
    product_with_prior,
)
from .activations import activation
from .arguments import batch_size, number_of_frames
from .broadcast import BroadcastDecoder
from .class_encoder import ClassEncoder, ClassLogits, NormalVector
from .completion import CompletingDecoder, Completion
from .conditional import ConditionalDecoder, ConditionalEncoder, ConditionalPrior
from .conditions import ClassCondition, ColumnsCondition, Condition, ObservedCondition
from .convolutional import ConvDecoder, ConvEncoder
from .critics import ConvCritic, MLPCritic
from .decoder import Decoder
from .encoder import Encoder, diagonal_normal
from .features import DomainEncoders, PointEncoder
from .frame_encoders import ClipEncoder, EmptyEncoder, FrameEncoder
from .frames import Trunk, conv_trunk, frame_mask, join_codes, mlp_trunk, true_frames
from .implicit import ImplicitEncoder, Moments, NoiseBasisEncoder, NoiseEncoder
from .joint import JointNormal
from .label_encoder import LabelEncoder
from .layers import layer_names
from .leave_one_out import LeaveOneOut
from .likelihood import Likelihood
from .likelihoods import LIKELIHOODS, default_likelihood, make_likelihood
from .mlp import MLPDecoder, MLPEncoder, mlp
from .modulation import Modulation, modulate
from .one_hot import OneHot
from .pair_critic import PairCritic, make_pair_critic
from .pairwise import PairwiseEncoder
from .pooled import PooledEncoder
from .prediction_critic import PredictionCritic
from .sequence_arguments import length_and_index
from .skips import SkipDecoder, SkipEncoder
from .transition import LSTMTransition, TransitionSequence
from .turns import PlaneTurn, TensorTurn

__all__ = [
    "ACCUMULATIONS",
    "LIKELIHOODS",
    "Accumulate",
    "BroadcastDecoder",
    "ClassCondition",
    "ClassEncoder",
    "ClassLogits",
    "ClipEncoder",
    "ColumnsCondition",
    "CompletingDecoder",
    "Completion",
    "Condition",
    "ConditionalDecoder",
    "ConditionalEncoder",
    "ConditionalPrior",
    "ConvCritic",
    "ConvDecoder",
    "ConvEncoder",
    "Decoder",
    "DomainEncoders",
    "EmptyEncoder",
    "Encoder",
    "FrameEncoder",
    "ImplicitEncoder",
    "JointNormal",
    "LSTMTransition",
    "LabelEncoder",
    "LeaveOneOut",
    "Likelihood",
    "MLPCritic",
    "MLPDecoder",
    "MLPEncoder",
    "Modulation",
    "Moments",
    "NoiseBasisEncoder",
    "NoiseEncoder",
    "NormalVector",
    "ObservedCondition",
    "OneHot",
    "PairCritic",
    "PairwiseEncoder",
    "PlaneTurn",
    "PointEncoder",
    "PooledEncoder",
    "PredictionCritic",
    "SkipDecoder",
    "SkipEncoder",
    "TensorTurn",
    "TransitionSequence",
    "Trunk",
    "activation",
    "batch_size",
    "conv_trunk",
    "default_likelihood",
    "diagonal_normal",
    "frame_mask",
    "join_codes",
    "layer_names",
    "length_and_index",
    "make_likelihood",
    "make_pair_critic",
    "mean_of_items",
    "mlp",
    "mlp_trunk",
    "modulate",
    "number_of_frames",
    "product_of_items",
    "product_with_prior",
    "true_frames",
]
