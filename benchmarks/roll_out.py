"""Roll-outs in pose space: time and memory of 50 and of 500 frames of 64 clips.

Run `python -m benchmarks.roll_out`. All clips go on in one pass; images are looked at as they come
and not kept. Each horizon has a process of its own, in turns, whose largest memory is compared
with what it had before. The nets are those of `drnet` and `pose-prediction`, untrained.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.analysis import predict
from unbraid.methods import DataSpec, load_method, read_options
from unbraid.nets import LSTMTransition

from .timing import one_thread

SHAPE, CLIPS, PAST = (3, 32, 32), 64, 5
HORIZONS = (50, 500)
SLACK = 24.0  # MiB; the images of the longer one, kept, would be 375
UNIT = 2**20 if sys.platform == "darwin" else 2**10  # of the largest memory, per MiB


class Codes(nn.Module):
    """Content and poses of single frames, as a guide of DrNet tells them."""

    def __init__(self, guide: Any) -> None:
        super().__init__()
        self.guide = guide

    def content(self, frames: Tensor) -> Any:
        """Return the content of one frame of each clip, `(B, 1, C, H, W)`."""
        return self.guide.content_encoder(frames, None)

    def pose(self, frames: Tensor, content: Tensor) -> Any:
        """Return the poses of frames `(..., N, C, H, W)`."""
        del content
        return self.guide.pose_encoder(frames)


def largest() -> float:
    """Return the largest memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT


def roll_out(frames: int) -> dict[str, float]:
    """Return the seconds and the MiB that predicting so many frames takes."""
    one_thread()
    torch.manual_seed(0)
    method = load_method("drnet")
    spec = DataSpec(SHAPE, "colour", 250, sequence_length=20)
    options = read_options(method.options, {"form": "variational"})
    drnet: Any = method.build(options, spec)
    content, pose = options.static_dim, options.dynamic_dim
    transition = LSTMTransition(pose, content, 256, 2)
    model = models.PosePrediction(drnet.model.decoder, transition, content, PAST + frames)
    guide = guides.PosePrediction(Codes(drnet.guide), PAST)
    seen = torch.rand(CLIPS, PAST, *SHAPE)
    for _ in predict(model, guide, seen, 20):
        pass
    before, started, brightness = largest(), time.perf_counter(), 0.0
    for part in predict(model, guide, seen, frames):
        brightness += float(part.sum())
    if not brightness > 0:
        raise ValueError(f"brightness is {brightness}; expected above 0, of frames that are there")
    return {"seconds": time.perf_counter() - started, "added": largest() - before}


def main(arguments: list[str] | None = None) -> bool:
    """Print the table; return whether memory is independent of the horizon."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, help="of one roll-out, whose figures are printed")
    given = parser.parse_args(arguments)
    if given.frames is not None:
        print(json.dumps(roll_out(given.frames)))
        return True
    found: dict[int, list[dict[str, float]]] = {frames: [] for frames in HORIZONS}
    for _ in range(given.rounds):
        for frames, results in found.items():
            command = [sys.executable, "-m", "benchmarks.roll_out", "--frames", str(frames)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout))
    print(f"\n### Roll-outs of {CLIPS} clips of {SHAPE}, one thread, medians of {given.rounds}\n")
    print("| frames | seconds | ms per frame of all clips | MiB beside those of 20 frames |")
    print("|---|---|---|---|")
    for frames, results in found.items():
        seconds, added = (statistics.median(r[k] for r in results) for k in ("seconds", "added"))
        print(f"| {frames} | {seconds:.2f} | {1000 * seconds / frames:.1f} | {added:.1f} |")
    short, long = (statistics.median(r["added"] for r in found[f]) for f in HORIZONS)
    allowed = short + SLACK
    print(f"\nmemory of {HORIZONS[1]} frames at most {allowed:.1f} MiB: {long <= allowed}")
    return long <= allowed


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
