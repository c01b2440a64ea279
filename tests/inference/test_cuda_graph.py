"""Captured steps are those of a recording, launched at once; what is said where none can be."""

import copy
from typing import Any

import pytest
import torch

from unbraid.inference import (
    Adversary,
    AgainstPrior,
    CriticSchedule,
    Hold,
    Hook,
    LinearWarmup,
    Objective,
    Step,
    device_of,
)
from unbraid.inference.cuda_graph import (  # pyright: ignore[reportMissingImports]
    WARM_UP,
    CapturedSteps,
    CaptureError,
)
from unbraid.inference.objective import laid_out  # pyright: ignore[reportMissingImports]
from unbraid.nets import MLPCritic

from .pairs import SHAPE, B, K, vae

STEPS = 3 * WARM_UP

on_a_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def made(conv=False):
    return torch.nn.ModuleList(vae(conv)[:2])


def adversaries():
    torch.manual_seed(3)
    schedule = CriticSchedule(steps=2, warmup=2, noise=0.3, noise_steps=7)
    return [
        Adversary("prior", AgainstPrior("z"), MLPCritic(K, (7,)), "logistic", LinearWarmup(5)),
        Adversary(
            "far",
            AgainstPrior("z"),
            MLPCritic(K, (6,)),
            "wasserstein",
            schedule=schedule,
            gradient_penalty=10.0,
            clip=0.5,
        ),
    ]


def batch_of(i, size=B):
    generator = torch.Generator().manual_seed(i)
    return (torch.rand(size, *SHAPE, generator=generator) < 0.4).float()


def step_of(pair, mode, hooks=(), device="cuda", **options) -> Any:
    pair.to(device)
    objective = Objective({"kl": LinearWarmup(6)}, hooks)
    objective.as_module().to(device)
    model, guide = pair
    optimizer = torch.optim.Adam(pair.parameters(), lr=1e-2, fused=True)
    return Step(model, guide, objective, optimizer, mode=mode, **options)


def take(step, i, size=B, x=None):
    torch.manual_seed(100 + i)
    x = batch_of(i, size) if x is None else x
    parts = step((x.to(step.parameters[0].device),))
    step.objective.advance()
    return parts


def trained(mode, conv=False, hooks=(), steps=STEPS, **options):
    """Parts of each step, read at the end, and all weights; sizes and rates change."""
    pair = made(conv)
    step = step_of(pair, mode, hooks, **options)
    parts = []
    for i in range(steps):
        step.optimizer.param_groups[0]["lr"] = 1e-2 / (1 + i)
        parts += [take(step, i), take(step, steps + i, B - 1)]
    assert step.mode == mode
    return parts, [*pair.parameters(), *(p for hook in hooks for p in hook.parameters())]


def assert_same(first, second):
    for mine, theirs in zip(first[0], second[0], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(first[1], second[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("conv", [False, True])
    @pytest.mark.parametrize("options", [{}, {"clip_norm": 0.5, "guard": True}], ids=str)
    def test_steps_are_those_of_a_recording(self, conv, options):
        assert_same(trained("graph", conv, **options), trained("record", conv, **options))

    def test_critics_step_in_the_graph(self):
        found = [trained(mode, hooks=adversaries(), guard=True) for mode in ("graph", "record")]
        assert_same(*found)
        assert {"prior_critic", "far_accuracy"} <= set(found[0][0][-1])

    def test_held_parameters_stay_and_then_learn(self):
        for mode in ("graph", "record"):
            pair = made()
            held = next(pair[0].parameters())
            step = step_of(pair, mode, [Hold([held], 2 * WARM_UP)])
            before = held.detach().clone()
            for i in range(2 * WARM_UP):
                take(step, i)
            assert torch.equal(before, held)
            take(step, 2 * WARM_UP)
            assert not torch.equal(before, held)

    def test_scalars_of_earlier_steps_stay(self):
        step = step_of(made(), "graph")
        parts = [take(step, i)["loss"] for i in range(STEPS)]
        kept = [float(part) for part in parts]
        take(step, STEPS)
        assert [float(part) for part in parts] == kept
        assert len(set(kept)) == STEPS

    def test_a_bad_batch_moves_nothing(self):
        pair = made()
        step = step_of(pair, "graph", adversaries(), guard=True)
        for i in range(STEPS):
            take(step, i)
        kept = [p.detach().clone() for p in pair.parameters()]
        assert not step.bad
        take(step, STEPS, x=torch.full((B, *SHAPE), torch.nan))
        take(step, STEPS + 1)
        assert step.bad
        assert all(torch.equal(a, b) for a, b in zip(kept, pair.parameters(), strict=True))

    def test_a_loaded_state_of_the_optimiser_is_gone_on_with(self):
        def after(mode):
            pair = made()
            step = step_of(pair, mode)
            for i in range(STEPS):
                take(step, i)
                if i == STEPS - 3:
                    step.optimizer.load_state_dict(copy.deepcopy(step.optimizer.state_dict()))
            return [], list(pair.parameters())

        assert_same(after("graph"), after("record"))

    def test_the_optimisers_own_settings_are_left(self):
        step = step_of(made(), "graph")
        before = {k: v for k, v in step.optimizer.param_groups[0].items() if k != "params"}
        for i in range(STEPS):
            take(step, i)
        after = {k: v for k, v in step.optimizer.param_groups[0].items() if k != "params"}
        assert after == before
        assert int(step.optimizer.state[step.parameters[0]]["step"]) == STEPS

    def test_changed_betas_are_refused(self):
        step = step_of(made(), "graph")
        for i in range(STEPS):
            take(step, i)
        step.optimizer.param_groups[0]["betas"] = (0.5, 0.9)
        with pytest.raises(ValueError, match=r"betas, eps or weight decay .* Use mode 'record'"):
            take(step, STEPS)

    def test_data_on_the_cpu_are_refused(self):
        step = step_of(made(), "graph")
        for i in range(STEPS):
            take(step, i)
        x = batch_of(STEPS).cuda()
        for _ in range(WARM_UP):
            step((x,), {"x": x, "weight": torch.ones(B)})
        with pytest.raises(CaptureError, match="a tensor of the batch is on cpu"):
            step((x,), {"x": x, "weight": torch.ones(B)})

    def test_hooks_with_a_generator_of_their_own_are_recorded(self, caplog):
        class Drawing(Hook):
            generator = torch.Generator()

        step = step_of(made(), "graph", [Drawing()])
        assert step.mode == "record"
        assert "draw by torch's own generator" in caplog.text

    def test_a_critic_that_reads_on_the_host_is_refused(self):
        class Reading(Adversary):
            def after_critic_step(self):
                for parameter in self.critic_parameters():
                    float(parameter.detach().sum())

        step = step_of(made(), "graph", [Reading("r", AgainstPrior("z"), MLPCritic(K, (7,)))])
        for i in range(WARM_UP):
            take(step, i)
        with pytest.raises(CaptureError, match=r"cannot be captured .* Use mode 'record'"):
            take(step, WARM_UP)


@pytest.mark.parametrize("hooks", [(), adversaries()], ids=["plain", "critics"])
def test_without_a_gpu_steps_are_recorded(hooks, caplog):
    with torch.random.fork_rng():
        step = step_of(made(), "graph", hooks, device="cpu")
    assert step.mode == "record"
    assert "needs a CUDA device and fused Adam or AdamW" in caplog.text
    assert torch.isfinite(take(step, 0)["loss"])


def test_optimisers_that_do_not_fit_are_refused():
    optimizer = torch.optim.Adam(made().parameters(), fused=True)
    assert not CapturedSteps.fits(optimizer)
    with pytest.raises(ValueError, match="no fused Adam or AdamW on a CUDA device"):
        CapturedSteps([optimizer])


def test_gradients_take_the_layout_of_their_parameters():
    """As fused optimisers demand on a GPU; in an einsum they come transposed."""
    weight = torch.nn.Parameter(torch.randn(3, 4, 2))

    class Transposed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(K, 2))

        def forward(self, z):
            return torch.einsum("bk,kj->jb", z, self.weight)[0]

    found = torch.randn(2, 4, 3).permute(2, 1, 0)
    [same, none] = laid_out([found, None], [weight, weight])
    assert none is None
    assert same is not None
    assert same.stride() == weight.stride()
    assert torch.equal(same, found)
    hook = Adversary("t", AgainstPrior("z"), Transposed())
    step = step_of(made(), "record", [hook], device="cpu")
    take(step, 0)
    for parameter in hook.critic_parameters():
        assert parameter.grad is not None
        assert parameter.grad.stride() == parameter.stride()


def test_the_device_of_programs_is_that_of_their_tensors():
    assert device_of(made()[0], made()[1]) == torch.device("cpu")
    assert device_of(made().to("meta")[0].forward) == torch.device("meta")
    there = torch.device("meta")
    assert device_of(lambda x: x, default=there) == there
