"""On a machine with a GPU and without network: CPU/GPU parity, then step times in every mode.

Run: python -m benchmarks.gpu [--cases mlp100 conv64] [--steps 200] [--json FILE]
"""

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyro
import torch

from benchmarks.svi_step import CASES, HandWritten, Pair, make_pair
from unbraid.inference import SVI, Objective, log_likelihood

PARITY = 1e-4
MODES = ("eager", "record", "compile", "fused", "graph")


def parity(name: str) -> float:
    """Largest relative difference of the bound and its gradients, CPU to GPU, same codes."""
    torch.manual_seed(0)
    case = CASES[name]
    pair = make_pair(case)
    x = (torch.rand(16, *case.shape) > 0.5).float()
    results = []
    for device in ("cpu", "cuda"):
        model, guide = (module.to(device) for module in copy.deepcopy(pair)[:2])
        terms = Objective().terms(model, guide, (x.to(device),))
        fixed = torch.linspace(-1, 1, 16 * case.latent_dim, device=device)
        again = terms.replay({"z": fixed.view(16, case.latent_dim)})
        loss = terms["z"].kl.sum() - again["x"].log_p.sum()
        found = torch.autograd.grad(loss, [*model.parameters(), *guide.parameters()])
        results.append([loss.detach().cpu(), *(gradient.cpu() for gradient in found)])
    return max(
        float((a - b).norm() / a.norm().clamp(min=1e-6)) for a, b in zip(*results, strict=True)
    )


def milliseconds(work: Callable[[], object], steps: int) -> float:
    """Median over five rounds of the time of one step, all queued work done."""
    for _ in range(10):
        work()
    rounds = []
    for _ in range(5):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(steps):
            work()
        torch.cuda.synchronize()
        rounds.append(1000 * (time.perf_counter() - started) / steps)
    return statistics.median(rounds)


def step_times(name: str, steps: int) -> dict[str, float]:
    """Milliseconds per step by variant; a variant that fails says why and is left out."""
    case = CASES[name]
    torch.manual_seed(0)
    pair = Pair(*(module.cuda() for module in make_pair(case)))  # pyright: ignore
    x = (torch.rand(case.batch, *case.shape, device="cuda") > 0.5).float()

    def svi(mode: str) -> Callable[[], object]:
        made = SVI(*copy.deepcopy(pair)[:2], mode=mode)  # pyright: ignore[reportArgumentType]
        return lambda: made.step(x)

    def hand(compiled: bool) -> Callable[[], object]:
        made = HandWritten(pair, compiled=compiled)
        return lambda: made.step(x)

    makers: dict[str, Callable[[], Callable[[], object]]] = {
        "hand-written": lambda: hand(False),
        "hand-written, compiled": lambda: hand(True),
        **{mode: (lambda mode=mode: svi(mode)) for mode in MODES},
    }
    times = {}
    for variant, make in makers.items():
        try:
            times[variant] = milliseconds(make(), steps)
            print(f"| {name} | {variant} | {times[variant]:.3f} |", flush=True)
        except RuntimeError as error:
            print(f"| {name} | {variant} | failed: {str(error).splitlines()[0]} |", flush=True)
    return times


def likelihood_seconds(name: str) -> float:
    """Seconds for log p(x) of 1000 images with K = 1000."""
    case = CASES[name]
    torch.manual_seed(0)
    model, guide = (module.cuda() for module in make_pair(case)[:2])
    x = (torch.rand(1000, *case.shape, device="cuda") > 0.5).float()
    log_likelihood(model, guide, x[:64], samples=32, rows=100_000)
    started = time.perf_counter()
    log_likelihood(model, guide, x, samples=1000, rows=100_000)
    return time.perf_counter() - started


def main() -> int:
    """Check parity and print step times; exit status 1 where CPU and GPU disagree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", default=["mlp100", "conv64"], choices=list(CASES))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device found; nothing was measured")
        return 0
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    figures: dict[str, object] = {}
    with pyro.validation_enabled(False):
        differences = {name: parity(name) for name in given.cases}
        print(f"CPU/GPU parity, largest relative difference (at most {PARITY:g}): {differences}")
        print("\n| case | variant | ms per step |\n|---|---|---|")
        for name in given.cases:
            figures[name] = {
                "parity": differences[name],
                "milliseconds": step_times(name, given.steps),
                "likelihood_seconds": likelihood_seconds(name),
            }
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=2))
    return 0 if max(differences.values()) <= PARITY else 1


if __name__ == "__main__":
    sys.exit(main())
