"""Activations by name, the gain that their weights start with, and the cast before a density."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn


class Activation(NamedTuple):
    """How an activation is made, and the gain that keeps the spread of its layers' outputs."""

    make: Callable[[], nn.Module]
    gain: float


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(nn.ReLU, 2**0.5),
    "leaky-relu": Activation(lambda: nn.LeakyReLU(0.2), (2 / (1 + 0.2**2)) ** 0.5),
    "tanh": Activation(nn.Tanh, 1.0),
    "silu": Activation(nn.SiLU, 2**0.5),
    "softplus": Activation(nn.Softplus, 1.0),
}


def activation(name: str) -> nn.Module:
    """Return a fresh activation.

    Args:
        name: `relu`, `leaky-relu` (slope 0.2), `tanh`, `silu` or `softplus`.

    Raises:
        ValueError: If there is no activation of this name.
    """
    return _entry(name).make()


def initialise(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    """Draw a layer's weights by Glorot's rule, set its bias to zero, and return the layer.

    Source: Glorot & Bengio (2010), eq. 16, times `gain`. An output of a transposed convolution
    meets one tap in `stride ** 2` only, so its weights are larger by the stride.

    Args:
        layer: A linear or convolutional layer, changed in place.
        gain: Factor of the standard deviation of the weights.
    """
    stride = layer.stride[0] if isinstance(layer, nn.ConvTranspose2d) else 1
    nn.init.xavier_uniform_(layer.get_parameter("weight"), gain * stride)
    nn.init.zeros_(layer.get_parameter("bias"))
    return layer


def spread_codes(layer: nn.Linear, spread: float) -> None:
    """Draw a decoder's first layer so that its outputs for N(0, I) codes differ by `spread`.

    By Glorot's rule a layer from few codes to many units starts with weights so small that the
    decoder is nearly linear in the code, and finer structure is slow to come (Tancik et al. 2020,
    https://arxiv.org/abs/2006.10739, on inputs of few dimensions).

    Args:
        layer: The layer, changed in place: Normal weights, and biases uniform up to `spread`.
        spread: Standard deviation of its outputs without their biases, positive.
    """
    nn.init.normal_(layer.weight, std=spread / layer.in_features**0.5)
    nn.init.uniform_(layer.bias, -spread, spread)


def gain_of(name: str) -> float:
    """Return the gain of the activation `name`; `ValueError` if there is none."""
    return _entry(name).gain


def at_least_float32(values: Tensor) -> Tensor:
    """Return `values` as they are, or as float32 when autocast left them in half precision."""
    return values if values.dtype.itemsize >= 4 else values.float()


def _entry(name: str) -> Activation:
    if name not in ACTIVATIONS:
        raise ValueError(
            f"activation is {name!r}; expected one of {', '.join(ACTIVATIONS)}. "
            "Choose one of these."
        )
    return ACTIVATIONS[name]
