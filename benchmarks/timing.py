"""Measure variants side by side in one process: interleaved rounds, CPU time, median ratios."""

import ctypes
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch


class Ratio(NamedTuple):
    """Time of a variant over that of the baseline: median over rounds with its quartiles."""

    median: float
    low: float
    high: float
    milliseconds: float


def pin_allocator() -> None:
    """Keep freed memory in the process; else page faults decide which variant looks faster."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 30)
        libc.mallopt(-1, 2_000_000_000)


def compare(
    variants: Mapping[str, Callable[[], object]],
    baseline: str,
    *,
    rounds: int = 21,
    seconds: float = 0.15,
) -> dict[str, Ratio]:
    """Time variants A B C A B C ... and relate each to the baseline of the same round.

    Args:
        variants: Functions that each do one unit of work.
        baseline: Name of the variant that the others are divided by.
        rounds: Number of rounds, at least 3.
        seconds: CPU time that a variant works per round, about.

    Returns:
        Ratios by name, and the CPU time of one unit in milliseconds.
    """
    repeats = {}
    for name, work in variants.items():
        for _ in range(3):
            work()
        started = time.process_time()
        work()
        once = max(time.process_time() - started, 1e-6)
        repeats[name] = max(1, round(seconds / once))
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, work in variants.items():
            started = time.process_time()
            for _ in range(repeats[name]):
                work()
            times[name].append((time.process_time() - started) / repeats[name])
    return {name: _ratio(measured, times[baseline]) for name, measured in times.items()}


def _ratio(measured: list[float], reference: list[float]) -> Ratio:
    ratios = [a / b for a, b in zip(measured, reference, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    return Ratio(median, low, high, 1000 * statistics.median(measured))


def print_table(title: str, results: Mapping[str, Ratio], targets: Mapping[str, float]) -> bool:
    """Print ratios as a Markdown table; return whether every target is reached."""
    print(f"\n### {title}\n\n| variant | ratio | quartiles | ms | target |\n|---|---|---|---|---|")
    reached = True
    for name, result in results.items():
        target = targets.get(name)
        reached &= target is None or result.median <= target
        aim = "" if target is None else f"<= {target:g}"
        print(
            f"| {name} | {result.median:.3f} | {result.low:.3f} to {result.high:.3f} "
            f"| {result.milliseconds:.3f} | {aim} |",
            flush=True,
        )
    return reached


def one_thread() -> None:
    """Measure with one thread and a pinned allocator."""
    pin_allocator()
    torch.set_num_threads(1)
