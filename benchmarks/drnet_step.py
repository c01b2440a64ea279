"""The step of DrNet against the same step written by hand in PyTorch.

Run `python -m benchmarks.drnet_step`. Both have the same nets, losses, batches and (fused)
optimisers, and are stepped in turns, in one process, on one thread. In both the critic learns from
the poses of the pair's own step. First both are trained from the same weights for a few steps in
float64, and their weights compared; the shift that pairs each clip with another is drawn alike.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, binary_cross_entropy_with_logits, mse_loss

from unbraid.inference import Objective, Step, fused_adam, pair_parameters
from unbraid.methods import DataSpec, Parts, load_method, read_options

from .timing import compare, one_thread, print_table

TARGET = 1.15
ALPHA, BETA, RATE = 1.0, 0.1, 1e-3


def build(data: DataSpec, **options: Any) -> Parts:
    """The method's parts, from fixed weights."""
    torch.manual_seed(0)
    method = load_method("drnet")
    chosen = {"similarity": ALPHA, "adversary": BETA, "critic_rate": RATE, **options}
    return method.build(read_options(method.options, chosen), data)


def frames(data: DataSpec, batch: int) -> tuple[Tensor, Tensor]:
    """Two fixed frames of each clip: that of the content, that of the pose."""
    generator = torch.Generator().manual_seed(1)
    first, second = torch.rand(2, batch, 1, *data.shape, generator=generator)
    return first, second


def ours(parts: Parts, first: Tensor, second: Tensor, mode: Any = "record") -> Callable[[], Any]:
    """A function that takes one step of the library's."""
    optimizer = fused_adam(pair_parameters(parts.model, parts.guide))
    objective = Objective(parts.weights, parts.hooks)
    step = Step(parts.model, parts.guide, objective, optimizer, mode=mode)
    size = len(first)
    batch = {
        "x": second,
        "companions": first,
        "length": torch.ones(size, dtype=torch.int64),
        "index": torch.arange(size),
    }
    args = tuple(batch[key] for key in parts.keys)
    return lambda: step(args, batch)


def by_hand(parts: Parts, first: Tensor, second: Tensor) -> Callable[[], Any]:
    """A function that takes one step as a researcher would write it."""
    guide: Any = parts.guide
    content, pose = guide.content_encoder, guide.pose_encoder
    decoder: Any = parts.model.decoder
    scene: Any = parts.hooks[1]
    critic = scene.critic
    optimizers = [
        torch.optim.Adam(net.parameters(), lr=1e-3, fused=True) for net in (content, pose, decoder)
    ]
    other = torch.optim.Adam(critic.parameters(), lr=RATE, betas=(0.5, 0.9), fused=True)
    parameters = list(critic.parameters())
    x_i, x_j = first[:, 0], second[:, 0]
    size, pixels = len(x_i), x_i[0].numel()
    places = torch.arange(size)
    half = first.new_full((size, 1), 0.5)
    labels = torch.cat([first.new_ones(size, 1), first.new_zeros(size, 1)])

    def normal(codes: Tensor) -> Tensor:
        return batch_norm(codes, None, None, training=True, eps=1e-8)

    def step() -> None:
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        h_i, z_j = content.raw(x_i), pose.raw(x_j)
        with torch.no_grad():
            h_j, z_i = content.raw(x_j), pose.raw(x_i)
        made = decoder.raw(torch.cat([h_i, z_j], -1))
        for parameter in parameters:
            parameter.requires_grad_(False)
        z_i, z_j = normal(z_i), normal(z_j)
        score = critic(z_i, z_j)
        loss = mse_loss(made, x_j) + ALPHA * mse_loss(normal(h_i), normal(h_j))
        (pixels * (loss + BETA * binary_cross_entropy_with_logits(score, half))).backward()
        for parameter in parameters:
            parameter.requires_grad_(True)
        for optimizer in optimizers:
            optimizer.step()
        other.zero_grad(set_to_none=True)
        shifted = z_i[(places + torch.randint(1, size, (1,))) % size]
        z_j = z_j.detach()
        verdict = critic(torch.cat([z_i, shifted]), torch.cat([z_j, z_j]))
        binary_cross_entropy_with_logits(verdict, labels).backward()
        other.step()

    return step


def same_weights(data: DataSpec, batch: int, **options: Any) -> float:
    """Largest difference of any weight after five steps of both."""
    found = []
    for make in (ours, by_hand):
        parts = build(data, **options)
        for module in (parts.model, parts.guide, *parts.hooks):
            module.double()
        step = make(parts, *(frame.double() for frame in frames(data, batch)))
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
    small = DataSpec((3, 32, 32), "colour", 8000, sequence_length=20)
    grey = DataSpec((1, 16, 16), "grey", 8000, sequence_length=20)
    for title, data, batch, options in (
        (
            "conv 32 x 32 colour, 32-64-128, batch 32",
            small,
            32,
            {"channels": (32, 64, 128), "dynamic_dim": 64},
        ),
        (
            "conv 32 x 32 colour, 16-32-64, 1024 behind the codes, critic=pair, batch 32",
            small,
            32,
            {
                "channels": (16, 32, 64),
                "hidden": (1024,),
                "dynamic_dim": 64,
                "critic": "pair",
                "critic_hidden": (256, 128),
            },
        ),
        ("mlp 16 x 16 grey, 512-256, batch 100", grey, 100, {}),
    ):
        difference = same_weights(data, batch, **options)
        print(f"\nweights differ by {difference:.1e} after five steps on the same noise")
        variants = {
            "by hand": by_hand(build(data, **options), *frames(data, batch)),
            "recorded": ours(build(data, **options), *frames(data, batch)),
            "eager": ours(build(data, **options), *frames(data, batch), mode="eager"),
        }
        results = compare(variants, "by hand", rounds=15)
        reached &= print_table(f"A step / by hand: {title}", results, {"recorded": TARGET})
    return reached


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
