"""DrNet as a method: its loss, three separate trainings, its steps, resuming, and refusals."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss, softplus

import unbraid as face
from unbraid.analysis import decode_frames, sequence_codes
from unbraid.data import Batches, Dataset
from unbraid.inference import (
    CodeCycle,
    NoLikelihoodError,
    Objective,
    Step,
    gradients,
    log_likelihood,
    pair_parameters,
)
from unbraid.methods import DataSpec, load_method, read_options

S, T, SHAPE, D = 11, 6, (3, 8, 9), 216
DATA = DataSpec(SHAPE, "colour", S, sequence_length=T)
SMALL: dict[str, Any] = {
    "hidden": (9,),
    "code_hidden": (8,),
    "static_dim": 4,
    "dynamic_dim": 3,
    "critic_hidden": (7, 6),
}
CASES = [
    {},
    {"adversary": 0.0},
    {"similarity": 0.0, "nets": "conv", "channels": (4, 5)},
    {"frames": 4, "critic_steps": 2},
    {"frames": 3, "critic": "pair", "critic_hidden": (7,)},
    {"skips": True, "nets": "conv", "channels": (4, 5)},
    {"skips": True, "nets": "conv", "channels": (4, 5), "join": "modulate"},
    {"join": "modulate", "nets": "conv", "channels": (4, 5)},
    {"join": "modulate"},
    {"form": "variational", "warmup": 2},
    {"form": "variational", "content_warmup": 2},
    {"form": "variational", "adversary": 0.0, "likelihood": "normal-learned"},
    {"static_dim": 0, "similarity": 0.0, "adversary": 0.0},
    {"static_dim": 0, "similarity": 0.0, "adversary": 0.0, "form": "variational"},
]
cases = pytest.mark.parametrize("options", CASES, ids=str)


def built(data: DataSpec = DATA, **options: Any) -> Any:
    method = load_method("drnet")
    torch.manual_seed(1)
    return method.build(read_options(method.options, {**SMALL, **options}), data)


def dataset() -> Dataset:
    generator = torch.Generator().manual_seed(1)
    return Dataset(torch.randint(0, 256, (S, T, *SHAPE), dtype=torch.uint8, generator=generator))


def batch_of(parts: Any, step: int = 0) -> dict[str, Any]:
    batches = Batches(dataset(), 5, frames=parts.frames, companions=parts.companions)
    return batches.batch(step)


def loss_of(parts: Any, batch: Any, hooks: Any = None) -> Any:
    torch.manual_seed(3)
    objective = Objective(parts.weights, parts.hooks if hooks is None else hooks)
    args = tuple(batch[key] for key in parts.keys)
    return objective.mean_loss(parts.model, parts.guide, args, batch)


def raw(parts: Any, content: Tensor, pose: Tensor) -> Tensor:
    """Decoded frames, of codes `(B, K)`."""
    return parts.model.decoder.raw(torch.cat([content, pose], -1))


def test_the_example_is_a_pose_frame_decoded_with_the_content_of_another():
    """Two distinct frames of a clip; the first gives the content, the second is the target."""
    parts = built()
    batch = batch_of(parts)
    assert (parts.frames, parts.companions) == (1, 1)
    clips = dataset().pixels(batch["index"]) / 255
    for row in range(5):
        places = [
            int((clips[row] == frame).flatten(1).all(1).nonzero())
            for frame in (batch["x"][row, 0], batch["companions"][row, 0])
        ]
        assert places[0] != places[1]
        assert places[0] == batch["frame"][row]


@pytest.mark.parametrize("scale", [None, 0.2])
@pytest.mark.parametrize("standardised", [True, False])
def test_the_loss_is_the_papers_times_what_a_mean_is_worth(scale, standardised):
    r"""mean MSE + a MSE of codes + b BCE(1/2), by torch's own losses, times D / (2 sigma^2)."""
    alpha, beta = 0.7, 0.3
    parts = built(similarity=alpha, adversary=beta, scale=scale, standardised=standardised)
    batch = batch_of(parts)
    x_i, x_j = batch["companions"][:, 0], batch["x"][:, 0]
    content, pose = parts.guide.content_encoder, parts.guide.pose_encoder
    h_i, h_j = (content(x.unsqueeze(1)).v[:, 0] for x in (x_i, x_j))
    z_i, z_j = pose(x_i).v, pose(x_j).v
    similarity, scene = parts.hooks

    def seen(codes: Tensor) -> Tensor:
        if not standardised:
            return codes
        return (codes - codes.mean(0)) / (codes.var(0, correction=0) + 1e-8).sqrt()

    score = scene.critic(seen(z_i), seen(z_j))
    published = (
        mse_loss(raw(parts, h_i, z_j), x_j)
        + alpha * mse_loss(seen(h_i), seen(h_j))
        + beta * binary_cross_entropy_with_logits(score, torch.full_like(score, 0.5))
    )
    variance = 0.5 if scale is None else scale**2
    constant = 0.5 * D * np.log(2 * np.pi * variance)
    loss = loss_of(parts, batch)
    torch.testing.assert_close(loss.total, D / (2 * variance) * published + constant)
    assert (similarity.name, scene.name) == ("similarity", "scene")


@pytest.mark.parametrize("form", ["published", "variational"])
def test_the_cycle_of_points_is_worth_what_a_mean_is_and_that_of_normals_nats(form):
    parts = built(form=form, cycle=0.4, scale=0.2)
    batch = batch_of(parts)
    terms = loss_of(parts, batch).terms
    found = parts.hooks[2].penalty(terms, batch)
    one = CodeCycle("static").penalty(terms, batch)
    nats = D / (2 * 0.2**2) if form == "published" else 1.0
    torch.testing.assert_close(found, 0.4 * nats * one)
    assert [hook.name for hook in parts.hooks] == ["similarity", "scene", "cycle"]


@pytest.mark.parametrize("content_weight", [1.0, 0.3])
@pytest.mark.parametrize("content_warmup", [0, 4])
@pytest.mark.parametrize("warmup", [0, 6])
def test_the_divergence_of_content_has_a_course_of_its_own(warmup, content_warmup, content_weight):
    """Whatever the divergence of poses does, which `warmup` holds back along with it."""
    parts = built(
        form="variational",
        adversary=0.0,
        warmup=warmup,
        content_warmup=content_warmup,
        content_weight=content_weight,
    )
    batch = batch_of(parts)
    for step in range(6):
        loss = loss_of(parts, batch, hooks=())
        costs, poses = loss.parts, min(step / 6, 1.0) if warmup else 1.0
        content = content_weight * (min(step / 4, 1.0) if content_warmup else poses)
        expected = costs["x"] + poses * costs["dynamic"] + content * costs["static"]
        torch.testing.assert_close(loss.total, expected)
        torch.testing.assert_close(
            loss.parts["elbo"], -(costs["x"] + costs["static"] + costs["dynamic"])
        )
        for weight in parts.weights.values():
            weight.advance()


def test_without_hooks_the_loss_is_the_plain_reconstruction_exactly():
    parts = built(similarity=0.0, adversary=0.0)
    assert not parts.hooks
    batch = batch_of(parts)
    loss = loss_of(parts, batch)
    h = parts.guide.content_encoder(batch["companions"]).v
    z = parts.guide.pose_encoder(batch["x"]).v
    expected = -parts.model.decoder(torch.cat([h, z], -1)).log_prob(batch["x"]).sum() / 5
    assert torch.equal(loss.total, expected)
    assert "elbo" not in loss.parts
    found = gradients(loss, parts.model, parts.guide, pair_parameters(parts.model, parts.guide))
    for a, b in zip(
        found,
        torch.autograd.grad(expected, pair_parameters(parts.model, parts.guide)),
        strict=True,
    ):
        assert a is not None
        torch.testing.assert_close(a, b)


def test_hooks_of_weight_0_leave_the_plain_reconstruction_exactly():
    """Hooks that are there but weigh nothing give the same loss, bit for bit, as none."""
    parts = built()
    for hook in parts.hooks:
        hook.weight.value = 0.0
    batch = batch_of(parts)
    assert torch.equal(loss_of(parts, batch).total, loss_of(parts, batch, hooks=()).total)


def test_the_variational_form_is_the_bound_of_a_frame_given_another_ones_content():
    parts = built(form="variational", similarity=0.0, adversary=0.0)
    batch = batch_of(parts)
    loss = loss_of(parts, batch)
    terms = loss.terms
    expected = torch.zeros(())
    for site, net, key in (("static", "content", "companions"), ("dynamic", "pose", "x")):
        q = getattr(parts.guide, f"{net}_encoder")(batch[key]).base_dist
        kl = 0.5 * (q.loc**2 + q.scale**2 - 1) - q.scale.log()
        expected = expected + kl.sum() / 5
        assert terms[site].value.shape == q.loc.shape
    codes = torch.cat([terms["static"].value, terms["dynamic"].value], -1)
    p = parts.model.decoder(codes)
    assert float(p.base_dist.scale.mean()) == pytest.approx(0.1)
    expected = expected - p.log_prob(batch["x"]).sum() / 5
    torch.testing.assert_close(loss.total, expected)
    torch.testing.assert_close(loss.parts["elbo"], -expected.detach())


def split(parts: Any, loss: Any) -> dict[str, list[Any]]:
    """Gradients of a loss by net."""
    nets = {
        "content": parts.guide.content_encoder,
        "pose": parts.guide.pose_encoder,
        "decoder": parts.model,
    }
    parameters = [p for net in nets.values() for p in net.parameters()]
    found = iter(gradients(loss, parts.model, parts.guide, parameters))
    return {name: [next(found) for _ in net.parameters()] for name, net in nets.items()}


def same(a: list[Any], b: list[Any]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("form", ["published", "variational"])
def test_three_trainings_are_separate(form):
    """The adversary moves poses alone, the similarity content alone, neither the decoder."""
    parts = built(form=form)
    batch = batch_of(parts)
    similarity, scene = parts.hooks
    plain, with_scene, with_similarity = (
        split(parts, loss_of(parts, batch, hooks)) for hooks in ((), (scene,), (similarity,))
    )
    for name in plain:
        assert same(plain[name], with_scene[name]) == (name != "pose"), name
        assert same(plain[name], with_similarity[name]) == (name != "content"), name


def test_the_encoders_and_the_critic_share_no_parameters():
    parts = built()
    nets = [parts.model, parts.guide.content_encoder, parts.guide.pose_encoder, *parts.hooks]
    sets = [{id(p) for p in net.parameters()} for net in nets]
    assert sum(map(len, sets)) == len(set().union(*sets))
    assert not sets[3]  # the similarity has none
    assert sets[4]


def test_the_critic_is_not_moved_by_the_pair_nor_the_pair_by_the_critic():
    """With the pair's rate at 0 the critic alone moves, and with the critic's at 0 the pair."""
    for resting in ("pair", "critic"):
        parts = built(critic_rate=1e-2)
        scene = parts.hooks[1]
        parameters = pair_parameters(parts.model, parts.guide)
        optimizer = torch.optim.Adam(parameters, lr=0.0 if resting == "pair" else 1e-2)
        step = Step(parts.model, parts.guide, Objective(parts.weights, parts.hooks), optimizer)
        if resting == "critic":
            step.critics.optimizers["scene"].param_groups[0]["lr"] = 0.0
        sides = {"pair": list(parameters), "critic": list(scene.critic.parameters())}
        before = {side: [p.detach().clone() for p in found] for side, found in sides.items()}
        batch = batch_of(parts)
        step(tuple(batch[key] for key in parts.keys), batch)
        for side, found in sides.items():
            assert same(before[side], [p.detach() for p in found]) == (side == resting), side
    rate = built(critic_rate=0.25).hooks[1].make_optimizer(sides["critic"]).param_groups[0]["lr"]
    assert rate == 0.25


@cases
def test_every_parameter_is_moved(options):
    parts = built(**options)
    objective = Objective(parts.weights, parts.hooks)
    for _ in range(3):
        objective.advance()
    batch = batch_of(parts)
    args = tuple(batch[key] for key in parts.keys)
    loss = objective.mean_loss(parts.model, parts.guide, args, batch)
    parameters = pair_parameters(parts.model, parts.guide)
    for gradient in gradients(loss, parts.model, parts.guide, parameters):
        assert gradient is not None
        assert torch.isfinite(gradient).all()
        assert (gradient != 0).any()


@cases
def test_recorded_steps_are_eager_steps_to_the_bit(options):
    found = []
    for mode in ("eager", "record"):
        parts = built(**options)
        parameters = pair_parameters(parts.model, parts.guide)
        optimizer = torch.optim.Adam(parameters, lr=1e-2, fused=True)
        objective = Objective(parts.weights, parts.hooks)
        step = Step(parts.model, parts.guide, objective, optimizer, mode=mode)
        losses = []
        for i in range(4):
            batch = batch_of(parts, i)
            torch.manual_seed(i)
            losses.append(step(tuple(batch[key] for key in parts.keys), batch)["loss"].clone())
            objective.advance()
        assert step.mode == mode
        critics = [p.detach() for hook in parts.hooks for p in hook.parameters()]
        found.append([torch.stack(losses), *(p.detach() for p in parameters), *critics])
    assert same(*found)


def test_the_similarity_makes_contents_of_a_clip_alike():
    """150 steps on clips of an image of their own and noise, with and without the hook."""
    generator = torch.Generator().manual_seed(0)
    own = torch.rand(S, 1, *SHAPE, generator=generator)
    moving = torch.rand(S, T, *SHAPE, generator=generator)
    clips = Dataset(((0.7 * own + 0.3 * moving) * 255).to(torch.uint8))
    shares = []
    for weight in (0.0, 1.0):
        parts = built(similarity=weight, adversary=0.0)
        parameters = pair_parameters(parts.model, parts.guide)
        optimizer = torch.optim.Adam(parameters, lr=3e-3, fused=True)
        step = Step(parts.model, parts.guide, Objective(parts.weights, parts.hooks), optimizer)
        batches = Batches(clips, 10, frames=1, companions=1)
        for i in range(150):
            batch = batches.batch(i)
            step(tuple(batch[key] for key in parts.keys), batch)
        x = clips.pixels(torch.arange(S)).float() / 255
        codes = parts.guide.content_encoder(x.flatten(0, 1).unsqueeze(1)).v.view(S, T, -1)
        within, between = codes.var(1).mean(), codes.mean(1).var(0).mean()
        shares.append(float((within / (within + between)).detach()))
    assert shares[1] < 0.5 * shares[0]


@pytest.mark.parametrize("form", ["published", "variational"])
def test_without_content_it_is_an_autoencoder_of_frames(form):
    """The frame is decoded from its own code alone, whatever the other frame of the clip."""
    parts = built(form=form, static_dim=0, similarity=0.0, adversary=0.0)
    batch = batch_of(parts)
    loss = loss_of(parts, batch)
    other = loss_of(parts, {**batch, "companions": 1 - batch["companions"]})
    assert torch.equal(loss.total, other.total)
    assert loss.terms["static"].value.shape == (5, 1, 0)
    assert float(loss.parts["static"]) == 0.0
    assert not [*parts.guide.content_encoder.parameters()]
    z = loss.terms["dynamic"].value
    expected = -parts.model.decoder(z).log_prob(batch["x"]).sum() / 5
    if form == "variational":
        expected = expected + loss.parts["dynamic"]
    torch.testing.assert_close(loss.total, expected)


def test_skips_are_part_of_the_content():
    parts = built(skips=True, nets="conv", channels=(4, 5))
    maps = 4 * 4 * 4 + 5 * 2 * 2
    assert parts.model.static_dim == 4 + maps
    assert parts.hooks[0].coordinates == 4
    batch = batch_of(parts)
    code = loss_of(parts, batch).terms["static"].value
    assert code.shape == (5, 1, 4 + maps)


def test_the_likelihood_may_be_another():
    parts = built(likelihood="discretised-logistic", form="variational", scale=0.5)
    assert parts.likelihood.name == "discretised-logistic"
    assert parts.hooks[0].weight.value == D / (2 * 0.25)
    assert float(built().likelihood.scale) == pytest.approx(0.5**0.5)


def test_points_have_no_likelihood_and_normals_have_one():
    x = torch.rand(4, 2, *SHAPE)
    points = built()
    with pytest.raises(NoLikelihoodError, match="'static' is a point"):
        log_likelihood(points.model, points.guide, {"x": x}, samples=3)
    assert points.remark is None
    normals = built(form="variational")
    result = log_likelihood(normals.model, normals.guide, {"x": x}, samples=3)
    assert (result.log_likelihood >= result.elbo).all()
    assert "content from a single frame" in normals.remark


CLIPS = np.random.default_rng(0).integers(0, 256, (30, 5, 8, 9, 3), np.uint8)
WORDS = ["hidden=8", "code_hidden=7", "static_dim=3", "dynamic_dim=2", "critic_hidden=6"]


@pytest.fixture
def clips(place):
    np.savez("clips.npz", sequences=CLIPS)
    np.savez("ragged.npz", sequences=CLIPS, lengths=np.array([5, 3, 2] * 10))
    return place


def words(data, *more, steps=4):
    start = ["train", "drnet", "--data", data, "--out", "run", "--steps", str(steps)]
    return [*start, "--batch-size", "5", "--set", *WORDS, *more]


@pytest.mark.parametrize("form", ["published", "variational"])
@pytest.mark.parametrize("data", ["clips.npz", "ragged.npz"])
def test_clips_are_trained_judged_and_reported(form, data, clips, unbraid):
    trained = unbraid(*words(data, f"form={form}"))
    assert trained.code == 0
    # What is refused is not advised.
    judging = "" if form == "variational" else " --estimator none"
    assert f"next: unbraid evaluate run{judging}\n" in trained.out
    assert "next: unbraid report run" in trained.out
    outcome = unbraid("evaluate", "run", "--samples", "6", "--frames", "2", "--json")
    if form == "published":
        assert outcome.code != 0
        assert "is a point (Delta)" in outcome.err
    else:
        judged = json.loads(outcome.out)
        assert judged["elbo"] <= judged["log_likelihood"]
    assert unbraid("report", "run").code == 0
    drawn = {path.stem for path in (clips / "run" / "figures").iterdir()}
    expected = {"swaps", "clips", "trajectory", "neighbours", "training", "hooks"}
    untrained = {"prior", "dynamics", "new_frames", "identities"}
    assert expected <= drawn
    assert untrained <= drawn if form == "variational" else not untrained & drawn
    run = face.load("run")
    batches = Batches(run.data.test, 3, shuffle=False)
    codes = sequence_codes(run.model, run.guide, batches, run.parts.inspected)
    assert decode_frames(run.model, codes.static[:1], codes.dynamic[1:2]).shape == (1, 5, 3, 8, 9)


@pytest.mark.parametrize("more", [[], ["form=variational"], ["skips=true", "nets=conv"]], ids=str)
def test_a_run_resumes_to_the_bit(more, clips, unbraid):
    """Weights, and the critic's with its optimiser, which lie in the same checkpoint."""
    folder = clips / "run" / "checkpoints" / "ckpt-000006"
    found = []
    for parts in ([6], [3, 6]):
        for steps in parts:
            start = ["--schedule", "constant", "--force" if steps == parts[0] else "--resume"]
            assert unbraid(*words("ragged.npz", *more, steps=steps), *start).code == 0
        found.append([load_file(path) for path in sorted(folder.glob("*.safetensors"))])
    names = [name for part in found[0] for name in part]
    assert any("critic" in name for name in names)
    for one, other in zip(*found, strict=True):
        assert all(one[name].equal(other[name]) for name in one)


def test_clips_that_are_too_short_are_refused(clips, unbraid):
    np.savez("short.npz", sequences=CLIPS, lengths=np.array([5, 3, 1] * 10))
    outcome = unbraid(*words("short.npz"))
    outcome.check_refused(2, "companions is 1 beside frames 1; expected at most 1 frame together")
    assert not (clips / "run" / "config.json").exists()


def test_batches_of_one_clip_are_refused(clips, unbraid):
    command = [word if word != "5" else "1" for word in words("clips.npz")]
    outcome = unbraid(*command)
    assert outcome.code != 0
    assert "the batch holds 1 code; expected at least 2" in outcome.err


def test_softplus_of_the_critics_score_is_its_cross_entropy():
    """What `scene_critic` in the metrics means: log 2 where the critic cannot tell."""
    parts = built()
    batch = batch_of(parts)
    terms = loss_of(parts, batch).terms
    scene = parts.hooks[1]
    [inputs] = scene.critic_inputs(terms.detach(), batch)
    scores = scene.critic(*inputs[:2])[:, 0]
    signs = 2.0 * inputs[2] - 1.0
    told: Any = scene.critic_loss_of(inputs)
    torch.testing.assert_close(told.loss, softplus(-signs * scores).mean())


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_weights_are_worth_what_they_say_beside_the_error_of_all_frames(frames):
    """-log p(x) adds up over frames; so do weights that stand beside the mean squared error."""
    parts = built(frames=frames, similarity=0.5, adversary=0.25)
    batch = batch_of(parts)
    x, others = batch["x"], frames - 1
    content = parts.guide.content_encoder(batch["companions"][:, :1]).v[:, 0]
    drawn = [raw(parts, content, parts.guide.pose_encoder(x[:, t]).v) for t in range(others)]
    error = mse_loss(torch.stack(drawn, 1), x)
    constant = others * 0.5 * D * np.log(np.pi)
    similarity, scene = (float(hook.weight(torch.ones(()), None)) for hook in parts.hooks)
    loss = loss_of(parts, batch, hooks=())
    torch.testing.assert_close(loss.total, similarity / 0.5 * error + constant)
    torch.testing.assert_close(loss.total, scene / 0.25 * error + constant)
