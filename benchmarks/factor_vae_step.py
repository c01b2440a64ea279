"""The step of the FactorVAE against the same step written by hand in PyTorch.

Run `python -m benchmarks.factor_vae_step`. Both have the same nets, losses, batches and (fused)
optimisers, and are stepped in turns, in one process, on one thread. First both are trained from
the same weights with the same noise for a few steps, and their weights compared.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from unbraid.inference import Objective, Step, fused_adam, pair_parameters
from unbraid.methods import DataSpec, Parts, load_method, read_options

from .timing import compare, one_thread, print_table

TARGET = 1.15
GAMMA, RATE = 10.0, 1e-4


def build(data: DataSpec, **options: Any) -> Parts:
    """The method's parts, from fixed weights."""
    torch.manual_seed(0)
    method = load_method("factor-vae")
    return method.build(read_options(method.options, {"gamma": GAMMA, **options}), data)


def images(data: DataSpec, batch: int) -> tuple[Tensor, Tensor]:
    """Two fixed batches."""
    generator = torch.Generator().manual_seed(1)
    first, second = torch.rand(2, batch, *data.shape, generator=generator) < 0.2
    return first.float(), second.float()


def ours(parts: Parts, x: Tensor, y: Tensor, mode: Any = "record") -> Callable[[], Any]:
    """A function that takes one step of the library's."""
    optimizer = fused_adam(pair_parameters(parts.model, parts.guide))
    step = Step(parts.model, parts.guide, Objective(hooks=parts.hooks), optimizer, mode=mode)
    batch = {"x": x, "second": {"x": y}}
    return lambda: step((x,), batch)


def by_hand(parts: Parts, x: Tensor, y: Tensor) -> Callable[[], Any]:
    """A function that takes one step as a researcher would write it."""
    encoder: Any = parts.guide.encoder
    decoder: Any = parts.model.decoder
    critic: Any = parts.hooks[0].critic
    pair = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    other = torch.optim.Adam(critic.parameters(), lr=RATE, betas=(0.5, 0.9), fused=True)
    parameters = list(critic.parameters())
    leading = encoder.latent_dim

    def encode(images: Tensor) -> tuple[Tensor, Tensor]:
        loc, raw = encoder.raw(images).split(leading, -1)
        return loc, softplus(raw) + 1e-6

    def step() -> None:
        pair.zero_grad(set_to_none=True)
        loc, scale = encode(x)
        z = loc + scale * torch.randn_like(loc)
        pixels = binary_cross_entropy_with_logits(decoder.raw(z), x, reduction="sum")
        divergence = (0.5 * (loc.square() + scale.square() - 1.0) - scale.log()).sum()
        for parameter in parameters:
            parameter.requires_grad_(False)
        correlation = -critic(z).mean()
        ((pixels + divergence) / len(x) + GAMMA * correlation).backward()
        for parameter in parameters:
            parameter.requires_grad_(True)
        with torch.no_grad():
            loc, scale = encode(y)
            others = loc + scale * torch.randn_like(loc)
            permuted = others.gather(0, torch.rand_like(others).argsort(0))
        pair.step()
        other.zero_grad(set_to_none=True)
        scores = critic(torch.cat([z.detach(), permuted]))
        mine, reference = scores[: len(z)], scores[len(z) :]
        (softplus(mine).mean() + softplus(-reference).mean()).backward()
        other.step()

    return step


def same_weights(data: DataSpec, batch: int, **options: Any) -> float:
    """Largest difference of any weight after five steps of both."""
    found = []
    for make in (ours, by_hand):
        parts = build(data, **options)
        step = make(parts, *images(data, batch))
        for seed in range(5):
            torch.manual_seed(seed)
            step()
        modules = (parts.model, parts.guide, *parts.hooks)
        found.append([p.detach() for module in modules for p in module.parameters()])
    return max(float((a - b).abs().max()) for a, b in zip(*found, strict=True))


def main() -> bool:
    """Print the tables; return whether every target is reached."""
    one_thread()
    reached = True
    grey, shapes = DataSpec((1, 28, 28), "binary", 60_000), DataSpec((1, 64, 64), "binary", 60_000)
    for title, data, batch, options in (
        ("784-512-256, batch 64, critic 3 x 512", grey, 64, {}),
        ("784-512-256, batch 64, critic 6 x 1000", grey, 64, {"critic_hidden": (1000,) * 6}),
        (
            "784-100, batch 64, critic 2 x 64",
            grey,
            64,
            {"hidden": (100,), "critic_hidden": (64,) * 2},
        ),
        ("conv 64 x 64, batch 64, critic 3 x 512", shapes, 64, {}),
    ):
        difference = same_weights(data, batch, **options)
        print(f"\nweights differ by {difference:.1e} after five steps on the same noise")
        variants = {
            "by hand": by_hand(build(data, **options), *images(data, batch)),
            "recorded": ours(build(data, **options), *images(data, batch)),
            "eager": ours(build(data, **options), *images(data, batch), mode="eager"),
        }
        results = compare(variants, "by hand", rounds=15)
        reached &= print_table(f"A step / by hand: {title}", results, {"recorded": TARGET})
    return reached


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
