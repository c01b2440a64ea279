"""Guides q, one per file: the guide of `models/NAME.py` is `guides/NAME.py`."""

from .avb import AVB
from .classifier import Classifier
from .cvae import CVAE
from .fhvae import FHVAE
from .neural_statistician import NeuralStatistician
from .semi_supervised_aae import SemiSupervisedAAE
from .static_dynamic import StaticDynamic
from .swap_vae import SwapVAE
from .vae import VAE
from .vitae import VITAE

__all__ = [
    "AVB",
    "CVAE",
    "FHVAE",
    "VAE",
    "VITAE",
    "Classifier",
    "NeuralStatistician",
    "SemiSupervisedAAE",
    "StaticDynamic",
    "SwapVAE",
]
