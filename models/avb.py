"""The model of adversarial variational Bayes: that of the variational autoencoder.

Source: Mescheder et al. (2017), https://arxiv.org/abs/1701.04722.
"""

from .vae import VAE


class AVB(VAE):
    """One standard normal code per image.

    Sites: `z`, event `(K,)`, latent; `x`, event `(C, H, W)`, observed; both in plate `data`.

    Args:
        decoder: Maps codes `(..., K)` to the distribution of images, batch `(...)`.
        latent_dim: Number `K` of code coordinates.
    """
