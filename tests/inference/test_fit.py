"""The loop: resuming to the bit, logs without gaps, early stops, and what is not finite."""

import json
import os
import signal
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from unbraid.inference import (
    CheckpointError,
    CheckpointWarning,
    Hook,
    LinearWarmup,
    NonFiniteError,
    Objective,
    PairError,
    fit,
    read_metrics,
    validation_bound,
)

from .pairs import B, D, Guide, K, Model, Pair


class Draws:
    """Batches as a function of the step; `wreck` may change one of them."""

    def __init__(self, wreck=None):
        self.wreck = wreck or {}

    def batch(self, step: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(B, D, dtype=torch.float64, generator=generator) + 1.0
        if step in self.wreck:
            x = self.wreck[step](x)
        return {"x": x, "index": torch.arange(B) + 10 * step}


class Ratio(Hook):
    """An adversary with weights, an optimiser and a generator of its own."""

    name = "ratio"
    sites = ("z",)

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(K, 1).double()
        self.generator = torch.Generator().manual_seed(3)

    def penalty(self, terms, batch):
        return self.net(terms["z"].value).mean()

    def critic_loss(self, terms, batch):
        z = terms["z"].value
        noise = torch.randn(z.shape, generator=self.generator, dtype=z.dtype)
        return (self.net(z) - self.net(z + noise)).square().mean()


def new_pair() -> Pair:
    torch.manual_seed(7)
    return Pair(Model().double(), Guide().double(), ())


def quiet(pair, batches=None, **options) -> Any:
    settings: dict[str, Any] = {"steps": 12, "log_every": 4, "progress": False}
    return fit(pair.model, pair.guide, batches or Draws(), **(settings | options))


def held_out():
    return [Draws().batch(1000 + i) for i in range(2)]


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=1e-2, momentum=0.9)


def falling(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))


def full(**options) -> dict[str, Any]:
    """Settings with everything that a checkpoint must hold."""
    return {
        "objective": Objective({"kl": LinearWarmup(9)}),
        "optimizer": momentum,
        "schedule": falling,
        "clip_norm": 5.0,
        "ema": 0.9,
        "validation": held_out(),
        "validate_every": 5,
    } | options


@pytest.fixture(autouse=True)
def heard_interrupts():
    """SIGINT is heard also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def stop_after(steps):
    """Ask for a stop once the loop has logged that step, as Ctrl-C would."""

    def on_log(row):
        if row["step"] == steps and "loss" in row:
            os.kill(os.getpid(), signal.SIGINT)

    return on_log


def with_critic():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Objective({"kl": LinearWarmup(9)}, hooks=[Ratio()])


VARIANTS = {
    "everything": full,
    "adam": lambda: full(optimizer=lambda p: torch.optim.Adam(p, lr=1e-2, fused=True)),
    "critic": lambda: full(objective=with_critic()),
    "eager": lambda: full(mode="eager"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(variant, tmp_path):
    make = VARIANTS[variant]
    whole, settings = new_pair(), make()
    result = quiet(whole, folder=tmp_path / "whole", **settings)
    assert (result.step, result.stopped, result.signal) == (12, "done", None)

    folder = tmp_path / "stopped"
    stopped = quiet(new_pair(), folder=folder, on_log=stop_after(8), **make())
    assert (stopped.step, stopped.stopped) == (8, "signal")
    assert stopped.signal == signal.SIGINT
    torch.manual_seed(999)
    other = new_pair()
    with torch.no_grad():
        for parameter in other.parameters:
            parameter.zero_()
    again_settings = make()
    again = quiet(other, folder=folder, resume=True, **again_settings)

    assert (again.step, again.stopped) == (12, "done")
    for mine, theirs in zip(other.parameters, whole.parameters, strict=True):
        assert torch.equal(mine, theirs)
    for side in ("model", "guide"):
        averages = [getattr(r.averaged, side).parameters() for r in (again, result)]
        for mine, theirs in zip(*averages, strict=True):
            assert torch.equal(mine, theirs)
    assert (again.best_step, again.best_bound) == (result.best_step, result.best_bound)
    hooks = [s["objective"].as_module().state_dict() for s in (again_settings, settings)]
    assert list(hooks[0]) == list(hooks[1])
    assert all(torch.equal(a, b) for a, b in zip(*(h.values() for h in hooks), strict=True))
    generators = [
        [h.generator.get_state() for h in s["objective"].hooks] for s in (again_settings, settings)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*generators, strict=True))

    rows = [read_metrics(tmp_path / f / "metrics.jsonl") for f in ("stopped", "whole")]
    for row in (row for file in rows for row in file):
        del row["seconds"]
    assert rows[0] == rows[1]


def test_metrics_are_the_means_of_their_steps(tmp_path):
    rows: list[Any] = []
    result = quiet(new_pair(), folder=tmp_path, steps=10, on_log=rows.append)
    assert [row["step"] for row in rows] == [4, 8, 10]
    assert result.history == rows == read_metrics(tmp_path / "metrics.jsonl")
    every: list[Any] = []
    quiet(new_pair(), steps=10, log_every=1, on_log=every.append)
    for row, steps in zip(rows, (every[:4], every[4:8], every[8:]), strict=True):
        for name in ("loss", "elbo", "x", "z"):
            mean = sum(step[name] for step in steps) / len(steps)
            assert row[name] == pytest.approx(mean, rel=1e-12)
        assert row["learning_rate"] == 1e-3
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)


def test_a_schedule_moves_once_a_step():
    rows = quiet(new_pair(), optimizer=momentum, schedule=falling, clip_norm=5.0).history
    rates = [row["learning_rate"] for row in rows]
    assert rates == pytest.approx([1e-2 / 5, 1e-2 / 9, 1e-2 / 13])


def test_resuming_from_an_older_checkpoint_drops_the_rows_after_it(tmp_path):
    """As after a crash: rows were written since the checkpoint of step 12."""
    quiet(new_pair(), folder=tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 16, "loss": 1.0}\n{"step": 2')
    quiet(new_pair(), folder=tmp_path, steps=20, resume=True)
    steps = [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [4, 8, 12, 16, 20]
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert rows[3]["loss"] != 1.0


def test_a_run_that_is_done_or_new_needs_no_checkpoint(tmp_path):
    first = quiet(new_pair(), folder=tmp_path, resume=True)
    pair = new_pair()
    again = quiet(pair, folder=tmp_path, resume=True)
    assert (first.step, again.step) == (12, 12)
    assert not torch.equal(pair.parameters[0], new_pair().parameters[0])
    assert len(again.history) == len(first.history)


def test_noise_depends_on_seed_and_step_alone():
    """Whatever the global generator was at, and however often one logs."""
    found = []
    for seed, state, log_every in ((0, 1, 4), (0, 2, 3), (1, 1, 4)):
        pair = new_pair()
        torch.manual_seed(state)
        quiet(pair, seed=seed, log_every=log_every)
        found.append(torch.cat([p.detach().flatten() for p in pair.parameters]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_run_stops_early_and_keeps_the_best(tmp_path):
    """Uphill, the bound only falls after the first validation."""
    pair = new_pair()
    settings: dict[str, Any] = {
        "steps": 40,
        "validation": held_out(),
        "validate_every": 2,
        "patience": 3,
        "folder": tmp_path,
        "optimizer": lambda p: torch.optim.SGD(p, lr=1e-6, maximize=True),
    }
    result = quiet(pair, **settings)
    assert (result.stopped, result.step, result.best_step) == ("early", 8, 2)
    bounds = [row["validation_elbo"] for row in result.history if "validation_elbo" in row]
    assert bounds[0] == max(bounds) == result.best_bound and len(bounds) == 4
    folders = sorted(path.name for path in (tmp_path / "checkpoints").glob("ckpt-*"))
    assert any("000002" in name for name in folders)
    again = quiet(new_pair(), resume=True, **settings)
    assert (again.stopped, again.step) == ("early", 8)


def test_the_validation_bound_is_a_function_of_weights_and_seed():
    pair = new_pair()
    torch.manual_seed(1)
    first = validation_bound(pair.model, pair.guide, held_out(), seed=5)
    torch.manual_seed(2)
    assert validation_bound(pair.model, pair.guide, held_out(), seed=5) == first
    assert validation_bound(pair.model, pair.guide, held_out(), seed=6) != first
    assert torch.equal(torch.randn(3), torch.randn(3, generator=torch.Generator().manual_seed(2)))
    with pytest.raises(ValueError, match="validation has 0 batches"):
        validation_bound(pair.model, pair.guide, [])


def test_a_ragged_batch_weighs_by_its_size():
    """With a guide that is the prior the bound is an average of what each datum gives."""

    def sites(x, observed):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x.new_zeros(K), 1.0).to_event(1))
            if observed:
                pyro.sample("x", dist.Normal(x.new_zeros(D), 2.0).to_event(1), obs=x)

    first, second = held_out()[0]["x"], held_out()[1]["x"][:2]
    data = torch.cat([first, second])
    expected = dist.Normal(torch.zeros(D).double(), 2.0).log_prob(data).sum(-1).mean()
    batches = [{"x": first}, {"x": second}]
    found = validation_bound(lambda x: sites(x, True), lambda x: sites(x, False), batches)
    assert found == pytest.approx(float(expected), rel=1e-10)


def test_validation_is_in_eval_mode_and_flags_are_put_back():
    seen = []

    class Looking(Guide):
        def forward(self, x):
            seen.append((self.training, len(x)))
            return super().forward(x)

    torch.manual_seed(7)
    pair = Pair(Model().double(), Looking().double(), ())
    pair.guide.encoder.loc.eval()
    validation = [{"x": torch.zeros(B + 1, D, dtype=torch.float64)}]
    quiet(pair, mode="eager", validation=validation)
    assert {training for training, size in seen[1:] if size == B} == {True}
    assert {training for training, size in seen if size == B + 1} == {False}
    assert pair.guide.training and not pair.guide.encoder.loc.training


def wreck_row(x):
    x[3, 2] = float("nan")
    return x


@pytest.mark.parametrize("mode", ["eager", "record"])
def test_bad_data_end_the_run_before_they_move_it(mode, tmp_path):
    pair, good = new_pair(), new_pair()
    quiet(good, steps=5, mode=mode)
    batches = Draws({5: wreck_row})
    with pytest.raises(NonFiniteError) as caught:
        quiet(pair, batches, mode=mode, folder=tmp_path, seed=0)
    error = caught.value
    assert "step 5 is not finite: input 'x' has non-finite values, first in row 3" in str(error)
    assert (error.step, error.indices) == (5, [50, 51, 52, 53, 54])
    crash = json.loads((tmp_path / "crash.json").read_text())
    assert crash == error.as_dict()
    assert crash["batch_indices"] == error.indices
    for mine, theirs in zip(pair.parameters, good.parameters, strict=True):
        assert torch.equal(mine, theirs)


def test_a_bad_density_is_named_with_its_row():
    class Clipped(Guide):
        def forward(self, x):
            return super().forward(x.clamp(-3, 3))

    def far_out(x):
        x[1] = 1e200
        return x

    torch.manual_seed(7)
    pair = Pair(Model().double(), Clipped().double(), ())
    with pytest.raises(NonFiniteError, match=r"step 6 .* log p of site 'x' is, first in row 1 of"):
        quiet(pair, Draws({6: far_out}))


def test_a_bad_gradient_is_named_with_its_parameter():
    class Root(Hook):
        def penalty(self, terms, batch):
            return (pair.guide.encoder.loc.bias * 0).abs().sum().sqrt()

    pair = new_pair()
    objective = Objective(hooks=[Root()])
    with pytest.raises(NonFiniteError, match=r"the gradient of guide\.encoder\.loc\.bias is"):
        quiet(pair, objective=objective, mode="eager")


def test_a_bad_hook_or_critic_is_named():
    class Infinite(Hook):
        def penalty(self, terms, batch):
            return terms["z"].value.sum() * float("inf")

    class Confused(Ratio):
        def penalty(self, terms, batch):
            return None

        def critic_loss(self, terms, batch):
            return super().critic_loss(terms, batch) * float("nan")

    for hook, message in (
        (Infinite(), "the part 'Infinite' of the loss is (inf|-inf)"),
        (Confused(), "the critic's loss of hook 'Confused' is nan"),
    ):
        with pytest.raises(NonFiniteError, match=message):
            quiet(new_pair(), objective=Objective(hooks=[hook]))


def test_the_last_good_checkpoint_stays_after_a_crash(tmp_path):
    batches = Draws({9: wreck_row})
    with pytest.raises(NonFiniteError, match="step 9 "):
        quiet(new_pair(), batches, folder=tmp_path, checkpoint_every=0.0)
    resumed, whole = new_pair(), new_pair()
    quiet(resumed, folder=tmp_path, resume=True)
    quiet(whole)
    for mine, theirs in zip(resumed.parameters, whole.parameters, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0; expected an integer of at least 1"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"log_every": 0}, "log_every is 0"),
        ({"patience": 0, "validation": []}, "patience is 0"),
        ({"patience": 2}, "patience is given without validation"),
        ({"validate_every": -1}, "validate_every is -1"),
        ({"ema": 1.0}, "ema is 1.0; expected a number between 0 and 1"),
        ({"seed": -1}, r"seed is -1; expected 0 to 2\*\*32 - 1"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0"),
        ({"checkpoint_every": float("nan")}, "checkpoint_every is nan"),
        ({"resume": True}, "resume is True without a folder"),
        ({"mode": "fast"}, "mode is 'fast'"),
    ],
)
def test_wrong_numbers_are_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        quiet(new_pair(), **options)


def test_batches_that_are_none_are_refused(tmp_path):
    batches: Any = [{"x": torch.zeros(B, D)}]
    with pytest.raises(TypeError, match=r"batches are a list; .* Pass unbraid.data.Batches"):
        quiet(new_pair(), batches, folder=tmp_path / "run")
    with pytest.raises(ValueError, match=r"batches have no 'y'; they have 'x', 'index'\."):
        quiet(new_pair(), keys=("y",), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_wrong_pairs_are_refused_with_nothing_written(tmp_path):
    pair = new_pair()
    with pytest.raises(PairError, match="guide site 'x' is observed"):
        fit(pair.model, pair.model, Draws(), steps=3, folder=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_programs_may_be_functions_around_modules(tmp_path):
    """A bound method belongs to its module, also in a checkpoint."""
    pair, bound = new_pair(), new_pair()
    quiet(pair)
    result = quiet(bound._replace(model=bound.model.forward), folder=tmp_path)
    assert result.step == 12
    for mine, theirs in zip(bound.model.parameters(), pair.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_checkpoints_of_an_earlier_run_are_not_mixed_with_those_of_a_new_one(tmp_path):
    quiet(new_pair(), folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"an earlier run; expected none\. Pass resume=True"):
        quiet(new_pair(), folder=tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert quiet(new_pair(), folder=tmp_path, resume=True, steps=15).step == 15


def test_a_resume_from_damaged_checkpoints_alone_does_not_start_anew(tmp_path):
    folder = tmp_path / "checkpoints" / "ckpt-000004"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text("{}")
    with pytest.warns(CheckpointWarning), pytest.raises(CheckpointError):
        quiet(new_pair(), folder=tmp_path, resume=True)
