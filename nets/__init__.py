"""Encoders, decoders and likelihoods: plain modules that broadcast over leading dims."""

from .activations import activation
from .arguments import batch_size
from .convolutional import ConvDecoder, ConvEncoder
from .decoder import Decoder
from .encoder import Encoder
from .likelihood import Likelihood
from .likelihoods import LIKELIHOODS, default_likelihood, make_likelihood
from .mlp import MLPDecoder, MLPEncoder, mlp

__all__ = [
    "LIKELIHOODS",
    "ConvDecoder",
    "ConvEncoder",
    "Decoder",
    "Encoder",
    "Likelihood",
    "MLPDecoder",
    "MLPEncoder",
    "activation",
    "batch_size",
    "default_likelihood",
    "make_likelihood",
    "mlp",
]
