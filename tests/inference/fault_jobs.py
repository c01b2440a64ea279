"""Jobs for test_faults.py: a server imports torch once and runs each job in a fork of its own."""

import dataclasses
import hashlib
import itertools
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from unbraid.inference import (
    Checkpoints,
    FolderLock,
    LinearWarmup,
    Objective,
    RunInUseError,
    TrainingState,
    fit,
)

sys.path.insert(0, str(Path(__file__).parent))
from pairs import Guide, Model, Pair

OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "fused-adam": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
}
SCHEDULES = {
    "adam": lambda o: torch.optim.lr_scheduler.MultiStepLR(o, milestones=[2, 6], gamma=0.3),
    "fused-adam": lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma=0.8),
    "sgd": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=20),
}


def build(case="fused-adam"):
    """A model and a guide that share a layer, a schedule's buffer, and every kind of noise."""
    guide = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 4))
    model = nn.Sequential(nn.Linear(4, 5), guide[1])
    parameters = [*guide.parameters(), *model[0].parameters()]
    optimizer = OPTIMIZERS[case](parameters)
    return TrainingState(
        step=0,
        modules={"model": model, "guide": guide, "objective": LinearWarmup(steps=30)},
        optimizers={"pair": optimizer},
        schedulers={"pair": SCHEDULES[case](optimizer)},
        generators={"hook": torch.Generator().manual_seed(7)},
        tensors={"average": torch.zeros(6, 2)},
        extra={"best": float("inf"), "history": []},
    )


def train(state, steps):
    """Steps that read each global generator, the run's own, the schedule and the buffer."""
    model, guide, warmup = state.modules.values()
    for _ in range(steps):
        x = (
            torch.rand(7, 3, generator=state.generators["hook"])
            + random.random()
            + np.random.rand()
        )
        z = guide(x) + torch.randn(7, 4)
        loss = warmup(model(z).square().mean(), None) + (guide(x) - 1).square().mean()
        state.optimizers["pair"].zero_grad()
        loss.backward()
        state.optimizers["pair"].step()
        state.schedulers["pair"].step()
        warmup.advance()
        state.tensors["average"].mul_(0.9).add_(0.1 * z[:6, :2].detach())
        state.extra["history"].append(loss.item())
    return dataclasses.replace(state, step=state.step + steps)


def digest(state):
    """One hash of everything that training changes."""
    tensors = [t for m in state.modules.values() for t in m.state_dict().values()]
    parts = [t.numpy().tobytes() for t in [*tensors, state.tensors["average"]]]
    return hashlib.sha256(b"".join(parts) + repr(state.extra).encode()).hexdigest()


def seed(value):
    torch.manual_seed(value)
    random.seed(value)
    np.random.seed(value)


def resume(folder, case, steps):
    """Go on from the last checkpoint, in a process whose random state is another."""
    seed(99)
    state = build(case)
    step = Checkpoints(folder).load(state)
    print(step, digest(train(state, int(steps))), flush=True)


def constant_state(step):
    """A state of one value, so that a mixture of two saves would show."""
    module = nn.Linear(50, 40)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(step)
    return TrainingState(step, {"model": module}, extra={"value": step})


def save_forever(folder, start):
    store = Checkpoints(folder)
    for step in itertools.count(int(start)):
        store.save(constant_state(step), best=step % 5 == 0)
        print(step, flush=True)


def save_under_limits(folder, *limits):
    """Save under limits of the file size, which fail like a full disk does.

    The state of Python's generator is of other size for other numbers, so it is seeded.
    """
    seed(0)
    store = Checkpoints(folder)
    for limit in limits:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
        try:
            store.save(constant_state(2))
            print("saved", flush=True)
        except OSError as error:
            print(f"{type(error).__name__} {error}", flush=True)


class Draws:
    """Batches as a function of the step."""

    def batch(self, step):
        generator = torch.Generator().manual_seed(step)
        return {"x": torch.randn(7, 4, generator=generator, dtype=torch.float64)}


def fit_until(folder, steps):
    """Train a pair by the whole loop, saving after every step; go on where there is a run."""
    seed(7)
    pair = Pair(Model().double(), Guide().double(), ())
    seed(os.getpid())  # which a run may not depend on
    held_out = [Draws().batch(10**6 + i) for i in range(2)]
    fit(
        *pair[:2],
        Draws(),
        steps=int(steps),
        objective=Objective({"kl": LinearWarmup(300)}),
        schedule=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma=0.999),
        ema=0.9,
        validation=held_out,
        validate_every=7,
        folder=folder,
        checkpoint_every=0.0,
        resume=True,
        log_every=5,
        progress=False,
        on_log=lambda row: print(row["step"], flush=True),
    )
    print("done", flush=True)


def hold(folder):
    with FolderLock(folder):
        print("held", flush=True)
        time.sleep(600)


def race(folder, races):
    """Two processes at once; the winner keeps the lock until both have spoken."""
    for _ in range(int(races)):
        (read, write), (gate, opener) = os.pipe(), os.pipe()
        children = [os.fork() or _race_child(folder, write, gate, opener) for _ in range(2)]
        lines = b""
        while lines.count(b"\n") < 2:
            lines += os.read(read, 1000)
        os.close(opener)
        for child in children:
            os.waitpid(child, 0)
        for descriptor in (read, write, gate):
            os.close(descriptor)
        print(lines.decode().replace("\n", "|"), flush=True)


def _race_child(folder, write, gate, opener):
    os.close(opener)
    try:
        with FolderLock(folder):
            os.write(write, f"won {os.getpid()}\n".encode())
            os.read(gate, 1)
    except RunInUseError as error:
        os.write(write, f"lost {error}\n".encode())
    os._exit(0)


def serve():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    torch.set_num_threads(1)
    train(build(), 1)  # torch imports much on the first step, once here instead of once per job
    for line in sys.stdin:
        name, *arguments = line.split("\t")
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            print(f"pid {os.getpid()}", flush=True)
            globals()[name](*(argument.strip() for argument in arguments))
            os._exit(0)


if __name__ == "__main__":
    serve()
