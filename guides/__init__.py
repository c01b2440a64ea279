"""Guides q, one per file: the guide of `models/NAME.py` is `guides/NAME.py`."""

from .static_dynamic import StaticDynamic
from .vae import VAE
from .vitae import VITAE

__all__ = ["VAE", "VITAE", "StaticDynamic"]
