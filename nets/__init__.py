"""Encoders, decoders and likelihoods: plain modules that broadcast over leading dims."""

from .activations import activation
from .convolutional import ConvDecoder, ConvEncoder
from .likelihood import Likelihood
from .likelihoods import LIKELIHOODS, default_likelihood, make_likelihood
from .mlp import MLPDecoder, MLPEncoder, mlp

__all__ = [
    "LIKELIHOODS",
    "ConvDecoder",
    "ConvEncoder",
    "Likelihood",
    "MLPDecoder",
    "MLPEncoder",
    "activation",
    "default_likelihood",
    "make_likelihood",
    "mlp",
]
