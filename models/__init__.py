"""Generative models p, one per file; the guide of `models/NAME.py` is `guides/NAME.py`."""

from .action_rotation import ActionRotation
from .avb import AVB
from .classifier import Classifier
from .cvae import CVAE
from .drnet import DrNet
from .fhvae import FHVAE
from .group_vae import GroupVAE
from .neural_statistician import NeuralStatistician
from .pose_prediction import PosePrediction
from .semi_supervised_aae import SemiSupervisedAAE
from .semi_supervised_vae import SemiSupervisedVAE
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
    "ActionRotation",
    "Classifier",
    "DrNet",
    "GroupVAE",
    "NeuralStatistician",
    "PosePrediction",
    "SemiSupervisedAAE",
    "SemiSupervisedVAE",
    "StaticDynamic",
    "SwapVAE",
]
