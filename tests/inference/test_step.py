"""A step: the modes agree, nothing non-finite moves a parameter, nothing is read back."""

import copy
from importlib import import_module
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from unbraid.inference import MMD, Hook, LinearWarmup, Objective, Step
from unbraid.inference.fused import AdamState  # pyright: ignore[reportMissingImports]

from .pairs import B, D, Guide, K, Model, Pair, assert_held_back, bad_data, data, make_pair, vae


class DropoutGuide(Guide):
    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.3)

    def forward(self, x):
        return super().forward(self.dropout(x))


class NormalisedGuide(Guide):
    def __init__(self):
        super().__init__()
        self.norm: Any = nn.BatchNorm1d(D)

    def forward(self, x):
        return super().forward(self.norm(x))


def shared() -> Pair:
    """A guide that decodes, with the model's own decoder, before it encodes."""
    model, guide = Model().double(), Guide().double()
    decoder = guide.decoder = model.decoder

    def forward(x):
        with pyro.plate("data", len(x)):
            loc = guide.encoder(x).mean
            refined = guide.encoder(x - decoder(loc).mean)
            pyro.sample("z", refined)

    guide.forward = forward
    return Pair(model, guide, (torch.randn(B, D, dtype=torch.float64),))


PAIRS = {
    "mlp": vae,
    "conv": lambda: vae(conv=True),
    "dropout": lambda: Pair(Model().double(), DropoutGuide().double(), (data(),)),
    "batch norm": lambda: Pair(Model().double(), NormalisedGuide().double(), (data(),)),
    "shared decoder": shared,
    **{
        name: lambda name=name: make_pair(name)
        for name in ("structured", "frames", "global", "guide-label", "mixture")
    },
}


def train(pair, mode, steps=20, optimizer=None, weights=None, **options) -> Any:
    """Losses, parameters, buffers and optimiser state after some steps, the last one ragged."""
    make = optimizer or (lambda p: torch.optim.Adam(p, lr=1e-2, fused=True))
    chosen = make(pair.parameters)
    objective = Objective(weights)
    step = Step(pair.model, pair.guide, objective, chosen, mode=mode, **options)
    losses = []
    ragged = "mask" not in pair.model.forward.__code__.co_varnames
    for i in range(steps):
        torch.manual_seed(100 + i)
        args = tuple(a[: B - 1] for a in pair.args) if ragged and i % 8 == 7 else pair.args
        losses.append(step(args)["loss"])
        objective.advance()
        assert step.size == (B - 1 if args is not pair.args else B)
    state = [
        value
        for parameter in pair.parameters
        for value in chosen.state[parameter].values()
        if isinstance(value, torch.Tensor)
    ]
    buffers = [*pair.model.buffers(), *pair.guide.buffers()]
    found = [torch.stack(losses), *(p.detach() for p in pair.parameters), *state, *buffers]
    return [tensor.clone() for tensor in found]


def fresh(name) -> Pair:
    torch.manual_seed(7)
    return PAIRS[name]()


@pytest.mark.parametrize("name", PAIRS)
def test_recorded_steps_are_eager_steps_to_the_bit(name):
    pair, other = two(name)
    weights = {"kl": LinearWarmup(7, 0.1)} if name in ("mlp", "structured") else {}
    same = {"kl": LinearWarmup(7, 0.1)} if weights else {}
    eager = train(pair, "eager", weights=weights)
    recorded = train(other, "record", weights=same)
    assert len(eager) > 3
    for mine, theirs in zip(recorded, eager, strict=True):
        assert torch.equal(mine, theirs)
    assert len({float(loss) for loss in eager[0]}) == 20


def two(name) -> tuple[Pair, Pair]:
    return fresh(name), fresh(name)


def test_a_recording_runs_pyro_once_per_shape():
    pair = vae()
    runs = []
    pair.guide.encoder.register_forward_hook(lambda *_: runs.append(1))
    train(pair, "record", steps=16)
    first = len(runs)
    runs.clear()
    train(vae()._replace(model=pair.model, guide=pair.guide), "record", steps=7)
    # One check, one recording and one comparison per shape.
    assert first == 1 + 2 * 2
    assert len(runs) == 1 + 2


def test_a_shared_parameter_is_counted_once():
    pair = shared()
    step = Step(*pair[:2], Objective(), torch.optim.SGD(pair.parameters, lr=1.0), mode="record")
    ids = [id(p) for p in step.parameters]
    assert len(ids) == len(set(ids)) == 8
    torch.manual_seed(1)
    loss = Objective().mean_loss(pair.model, pair.guide, pair.args)
    expected = torch.autograd.grad(loss.total, pair.parameters)
    before = [p.detach().clone() for p in pair.parameters]
    torch.manual_seed(1)
    step(pair.args)
    for p, b, g in zip(pair.parameters, before, expected, strict=True):
        torch.testing.assert_close(p.detach(), b - g, rtol=1e-12, atol=1e-12)


def test_recorded_modules_hold_their_own_parameters_again():
    pair = vae()
    ids = [id(p) for p in pair.parameters]
    train(pair, "record", steps=2)
    assert [id(p) for p in pair.parameters] == ids
    assert all(isinstance(p, nn.Parameter) for p in pair.parameters)


class Branching(Guide):
    """What it computes depends on a value in its data."""

    def forward(self, x):
        if x.sum() > 0:
            x = x * 2
        return super().forward(x)


@pytest.mark.parametrize("mode", ["record", "compile", "fused"])
def test_a_model_that_depends_on_values_runs_eagerly(mode, caplog):
    found = []
    for chosen in ("eager", mode):
        torch.manual_seed(7)
        pair = Pair(Model().double(), Branching().double(), (data(),))
        found.append(train(pair, chosen, steps=9))
    assert "every step runs Pyro instead (mode eager)" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_recording_that_would_differ_is_not_used(caplog):
    """Noise from Python is baked into a recording without a host read."""

    class Outside(Guide):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x * self.calls)

    torch.manual_seed(7)
    pair = Pair(Model().double(), Outside().double(), (data(),))
    train(pair, "record", steps=2)
    assert "the recording gives a loss of" in caplog.text


@pytest.mark.parametrize("part", ["guide", "guide.dropout"])
def test_train_and_eval_are_recorded_apart(part):
    """Of the whole guide, and of a part that alone leaves training mode."""
    torch.manual_seed(7)
    pair = Pair(Model().double(), DropoutGuide().double(), (data(),))
    step = Step(*pair[:2], Objective(), torch.optim.SGD(pair.parameters, lr=0.0), mode="record")

    def loss():
        torch.manual_seed(2)
        return float(step(pair.args)["loss"])

    trained = loss()
    module = pair.guide if part == "guide" else pair.guide.dropout
    module.eval()
    evaluated = loss()
    module.train()
    assert trained != evaluated
    assert loss() == trained


def test_parts_may_differ_between_kinds_of_batches():
    class Labelled(Hook):
        def penalty(self, terms, batch):
            return batch["label"].mean() if "label" in batch else None

    pair = vae()
    optimizer = torch.optim.SGD(pair.parameters, lr=0.0)
    step = Step(*pair[:2], Objective(hooks=[Labelled()]), optimizer)
    (x,) = pair.args
    names = [*(set(step(pair.args, b)) for b in ({"x": x}, {"x": x, "label": x}, {"x": x}))]
    assert names[0] == names[2] == names[1] - {"Labelled"}
    assert step(pair.args, {"x": x, "label": x})["Labelled"] == x.mean()


@pytest.mark.parametrize("optimizer", ["Adam", pytest.param("AdamW", marks=pytest.mark.slow)])
def test_fused_steps_are_adams(optimizer):
    """From the same gradients: the noise of compiled steps is not that of eager ones."""

    class Still(Guide):
        def forward(self, x):
            q = self.encoder(x)
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Delta(q.mean, event_dim=1))

    def run(mode):
        torch.manual_seed(7)
        pair = Pair(Model().double(), Still().double(), (data(),))
        kind = getattr(torch.optim, optimizer)
        chosen = kind(pair.parameters, lr=1e-2, weight_decay=0.1, fused=True)
        schedule = torch.optim.lr_scheduler.ExponentialLR(chosen, 0.9)
        step = Step(*pair[:2], Objective(), chosen, mode=mode, guard=True)
        losses = []
        for _ in range(12):
            losses.append(step(pair.args)["loss"].clone())
            schedule.step()
        found = [torch.stack(losses), *(p.detach().clone() for p in pair.parameters)]
        assert_held_back(step, pair, bad_data(float("nan")))
        return found, chosen.state_dict()["state"]

    (fused, fused_state), (eager, eager_state) = run("fused"), run("eager")
    for mine, theirs in zip(fused, eager, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)
    for i, entry in eager_state.items():
        for key, value in entry.items():
            torch.testing.assert_close(
                fused_state[i][key], value, rtol=1e-5, atol=1e-6, check_dtype=False
            )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["compile", "fused"])
@pytest.mark.parametrize("name", ["mlp", "structured", "frames"])
def test_compiled_steps_agree_with_eager_ones(name, mode):
    inductor: Any = import_module("torch._inductor.config")
    pair, other = two(name)
    eager = train(pair, "eager", steps=20)
    with inductor.patch(fallback_random=True):
        compiled = train(other, mode, steps=20)
    for mine, theirs in zip(compiled[: 1 + len(pair.parameters)], eager, strict=False):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=2e-6)


def test_a_fused_step_keeps_to_its_betas():
    pair = vae()
    optimizer = torch.optim.Adam(pair.parameters)
    state = AdamState(optimizer)
    assert float(state.rate()) == pytest.approx(1e-3)
    optimizer.param_groups[0]["lr"] = 0.5
    assert float(state.rate()) == 0.5
    optimizer.param_groups[0]["betas"] = (0.5, 0.999)
    with pytest.raises(ValueError, match=r"betas are \(0.5, 0.999\); expected \(0.9, 0.999\)"):
        state.rate()


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda p: torch.optim.SGD(p, lr=0.1), {}),
        (lambda p: torch.optim.Adam(p, amsgrad=True), {}),
        (lambda p: torch.optim.Adam(p), {"clip_norm": 1.0}),
    ],
)
def test_what_cannot_be_fused_is_compiled(make, options, caplog):
    pair = vae()
    step = Step(*pair[:2], Objective(), make(pair.parameters), mode="fused", **options)
    assert step.mode == "compile"
    assert "mode fused needs plain Adam or AdamW" in caplog.text


MODES = ["eager", "record"]


# Settings


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_clipped_to_a_norm(mode):
    torch.manual_seed(7)
    pair = Pair(Model().double(), Guide().double(), (data(),))
    before = [p.detach().clone() for p in pair.parameters]
    chosen = torch.optim.SGD(pair.parameters, lr=1.0)
    Step(*pair[:2], Objective(), chosen, mode=mode, clip_norm=0.25)(pair.args)
    moves = [b - p.detach() for p, b in zip(pair.parameters, before, strict=True)]
    norm = torch.sqrt(sum((m.square().sum() for m in moves), start=torch.zeros(())))
    assert float(norm) == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("likelihood", ["bernoulli", "discretised-logistic", "normal"])
def test_densities_stay_in_float32_under_bfloat16(mode, likelihood):
    seen = []

    class Looker(Hook):
        def penalty(self, terms, batch):
            seen.extend(t for term in terms.values() for t in (term.value, term.log_p))
            seen.extend([terms["z"].kl, terms["z"].log_q])

    linear = []
    losses = {}
    for precision in ("float32", "bfloat16"):
        pair = vae(likelihood=likelihood)
        layer = next(m for m in pair.guide.modules() if isinstance(m, nn.Linear))
        layer.register_forward_hook(lambda _, __, out: linear.append(out.dtype))
        optimizer = torch.optim.SGD(pair.parameters, lr=0.0)
        step = Step(
            *pair[:2], Objective(hooks=[Looker()]), optimizer, mode=mode, precision=precision
        )
        torch.manual_seed(3)
        losses[precision] = float(step(pair.args)["loss"])
        assert all(p.grad is None or p.grad.dtype == torch.float32 for p in pair.parameters)
    assert {t.dtype for t in seen} == {torch.float32}
    assert set(linear) == {torch.float32, torch.bfloat16}
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=5e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "jit"}, "mode is 'jit'; expected one of eager, record, compile, fused"),
        ({"precision": "float16"}, "precision is 'float16'; expected one of float32, bfloat16"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0; expected a finite number above 0"),
        ({"clip_norm": float("nan")}, "clip_norm is nan"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    pair = vae()
    with pytest.raises(ValueError, match=message):
        Step(*pair[:2], Objective(), torch.optim.SGD(pair.parameters, lr=0.1), **options)


class HostReads(TorchDispatchMode):
    """Counts the reads of a tensor's value on the host."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


class CheckedDraws(TorchDispatchMode):
    """Counts draws that read, on a GPU, whether a scale is negative."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        normal = torch.ops.aten.normal
        self.count += func in (normal.Tensor_Tensor, normal.float_Tensor)
        return func(*args, **(kwargs or {}))


def test_recorded_draws_of_a_prior_make_no_gpu_wait():
    """They are those of `torch.normal` to the bit; the eager step shows that there are some."""
    found = []
    for mode in ("record", "eager"):
        pair = vae()
        optimizer = torch.optim.Adam(pair.parameters, fused=True)
        step = Step(*pair[:2], Objective(hooks=[MMD("z", 9.0)]), optimizer, mode=mode)
        step(pair.args)
        with CheckedDraws() as draws:
            torch.manual_seed(3)
            found.append(float(step(pair.args)["loss"]))
        assert draws.count == (mode == "eager")
    assert found[0] == found[1]


class Critic(Hook):
    sites = ("z",)

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(K, 1)

    def penalty(self, terms, batch):
        return self.net(terms["z"].value).mean()

    def critic_loss(self, terms, batch):
        return self.net(terms["z"].value).square().mean()


@pytest.mark.parametrize("hooks", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_read_on_the_host(mode, hooks):
    pair = vae()
    optimizer = torch.optim.Adam(pair.parameters, fused=True)
    objective = Objective({"kl": LinearWarmup(3)}, [Critic()] if hooks else [])
    step = Step(*pair[:2], objective, optimizer, mode=mode, guard=True)
    step(pair.args)
    with HostReads() as reads:
        for _ in range(5):
            step(pair.args)
            objective.advance()
    assert reads.count == 0
    with HostReads() as reads:
        float(step.bad)
    assert reads.count == 1


def test_steps_that_adam_takes_by_itself_between_fused_ones_count_once():
    """One count for all parameters is kept apart from torch's, which adds one to each."""
    pair = make_pair("plain")
    optimizer = torch.optim.Adam(pair.parameters, fused=True)
    state = AdamState(optimizer)
    state.count.fill_(5)
    taken = copy.deepcopy(optimizer.state_dict())["state"]
    assert {float(entry["step"]) for entry in taken.values()} == {5.0}
    for parameter in pair.parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert {float(optimizer.state[p]["step"]) for p in pair.parameters} == {6.0}
    assert float(state.count) == 6
    plain = torch.optim.Adam(pair.parameters, fused=True)
    plain.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    plain.step()
    assert {float(plain.state[p]["step"]) for p in pair.parameters} == {7.0}
