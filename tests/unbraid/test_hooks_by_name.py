"""Loss hooks by name: on the command line, in the record of a run, and from Python."""

import json
import math
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import unbraid as face
from unbraid.hooks import HOOKS, add_hooks, hook_options, read_hook
from unbraid.hooks.adding import code_size
from unbraid.inference import Adversary, HookError, Objective
from unbraid.methods import DataSpec, OptionError, load_method, read_options

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 9), np.uint8)
LABELS = np.arange(30) % 3
FACTORS = np.stack([np.arange(30) % 4, np.linspace(-1, 1, 30)], 1).astype(np.float32)
SMALL = "hidden=6"


@pytest.fixture
def labelled(place):
    """Images with three classes and two discrete factors, `pose` and `part`."""
    factors = np.arange(60).reshape(30, 2) % 4
    names = ["pose", "part"]
    np.savez("labelled.npz", images=IMAGES, labels=LABELS, factors=factors, factor_names=names)
    return "labelled.npz"


def rows(run="run"):
    return [json.loads(row) for row in Path(run, "metrics.jsonl").read_text().splitlines()]


def config(run="run"):
    return json.loads(Path(run, "config.json").read_text())


def pair_weights(run, step) -> dict[str, Any]:
    kept = load_file(Path(run) / "checkpoints" / f"ckpt-{step:06d}" / "weights.safetensors")
    return {name: value for name, value in kept.items() if not name.startswith("objective")}


def same(first, second):
    same_names = first.keys() == second.keys()
    return same_names and all(first[k].cpu().equal(second[k].cpu()) for k in first)


def hooked(*hooks):
    return [word for hook in hooks for word in ("--hook", hook)]


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("factor", "factor", {}),
        ("factor:gamma=6", "factor", {"gamma": 6.0}),
        ("factor:hidden=64,64", "factor", {"hidden": (64, 64)}),
        ("factor:hidden=64,32,gamma=6,warmup=9", "factor", {"hidden": (64, 32), "warmup": 9}),
        ("dip:kind=i,offdiag=1e-2", "dip", {"kind": "i", "offdiag": 0.01}),
        ("hsic:other=pose", "hsic", {"other": "pose"}),
    ],
)
def test_a_hook_is_read_as_it_is_written(text, name, values):
    found, options = hook_options(text)
    assert found == name
    assert {key: getattr(options, key) for key in values} == values
    assert read_hook(text)[1].keys() >= values.keys()


def test_all_hooks_train_at_once(unbraid, train_words, labelled):
    """And each of them is in the loss, in the metrics, in the record and in the command."""
    chosen = [
        "tc:weight=2",
        "factor:gamma=6,hidden=6,5",
        "dip",
        "mmd:kernel=gaussian",
        "hsic",
        "prior:hidden=6,rule=wasserstein",
        "predictability",
        "attribute:name=part,hidden=6",
    ]
    of_images = set(HOOKS) - {"scene"}
    assert {text.partition(":")[0] for text in chosen} == of_images
    outcome = unbraid(*train_words(*hooked(*chosen), data=labelled))
    assert outcome.code == 0, outcome
    last = [row for row in rows() if "loss" in row][-1]
    assert last["loss"] == pytest.approx(-last["elbo"] + sum(last[n] for n in of_images), rel=1e-4)
    for name in ("factor", "prior", "attribute"):
        assert {f"{name}_critic", f"{name}_accuracy"} <= set(last)
    assert config()["hooks"] == chosen
    words = shlex.split(config()["command"])
    assert [b for a, b in pairwise(words) if a == "--hook"] == chosen


def test_the_printed_command_trains_the_same_weights(unbraid, train_words, labelled):
    words = train_words(*hooked("factor:hidden=6,gamma=3", f"attribute:{SMALL}"), data=labelled)
    assert unbraid(*words).code == 0
    again = shlex.split(config()["command"])[1:]
    again[again.index("run")] = "again"
    assert unbraid(*again).code == 0
    assert same(pair_weights("run", 4), pair_weights("again", 4))
    assert config("again")["hooks"] == config()["hooks"]


def test_one_hook_twice_is_two(unbraid, train_words):
    hooks = [f"prior:weight=2,{SMALL}", f"prior:weight=0,rule=hinge,{SMALL}"]
    assert unbraid(*train_words(*hooked(*hooks))).code == 0
    last = [row for row in rows() if "loss" in row][-1]
    for name in ("prior", "prior-2"):
        assert {name, f"{name}_critic", f"{name}_accuracy"} <= set(last)
    assert last["prior"] > 0 == last["prior-2"]
    run = face.load("run", device="cpu")
    assert [hook.name for hook in run.parts.hooks] == ["prior", "prior-2"]
    assert [hook.rule for hook in run.parts.hooks] == ["logistic", "hinge"]  # pyright: ignore


@pytest.mark.parametrize("hook", ["prior:weight=0", "factor:gamma=0", "attribute:weight=0"])
def test_a_hook_of_weight_0_leaves_the_pair_as_it_would_be(hook, unbraid, train_words, labelled):
    """To the bit: neither the first weights nor the noise of a pair depend on its hooks."""
    assert unbraid(*train_words(data=labelled, out="plain")).code == 0
    assert unbraid(*train_words(*hooked(f"{hook},{SMALL}"), data=labelled)).code == 0
    assert same(pair_weights("plain", 4), pair_weights("run", 4))


def test_a_hook_of_more_weight_does_not(unbraid, train_words):
    assert unbraid(*train_words(out="plain")).code == 0
    assert unbraid(*train_words(*hooked(f"factor:gamma=9,{SMALL}"))).code == 0
    assert not same(pair_weights("plain", 4), pair_weights("run", 4))


def test_a_resumed_run_goes_on_with_its_hooks(unbraid, train_words):
    """To the bit, critics included."""
    hooks = hooked(f"factor:gamma=3,{SMALL}", f"prior:steps=2,noise=0.1,{SMALL}")
    fixed = ["--schedule", "constant", "--validate-every", "3"]
    assert unbraid(*train_words(*hooks, *fixed, steps=7, out="whole")).code == 0
    assert unbraid(*train_words(*hooks, *fixed, steps=3)).code == 0
    outcome = unbraid(*train_words(*hooks, *fixed, "--resume", steps=7))
    assert outcome.code == 0, outcome
    kept = [
        load_file(Path(run) / "checkpoints/ckpt-000007/weights.safetensors")
        for run in ("whole", "run")
    ]
    assert same(*kept)
    assert any("critic" in name for name in kept[0])


@pytest.mark.parametrize("other", [[], ["prior:weight=2,hidden=6"], ["prior:hidden=6", "dip"]])
def test_a_run_is_not_resumed_with_other_hooks(other, unbraid, train_words):
    assert unbraid(*train_words(*hooked(f"prior:{SMALL}"))).code == 0
    before = pair_weights("run", 4)
    outcome = unbraid(*train_words(*hooked(*other), "--resume", steps=6))
    outcome.check_refused(4, r"hooks is \[.*\], but the run was started with \['prior:hidden=6'\]")
    assert same(before, pair_weights("run", 4))
    assert not Path("run/checkpoints/ckpt-000006").exists()


REFUSED: dict[str, tuple[str, str]] = {
    "factr:gamma=1": (
        "unknown",
        r"hook is 'factr'; expected one of tc, factor, .*\. Did you mean factor\?$",
    ),
    "": ("empty", r"hook is ''; expected one of tc, .*\. Run `unbraid hooks` for what"),
    "factor:": (
        "nothing given",
        r"hook is 'factor:'; expected NAME or NAME:KEY=VALUE,.*hooks fac",
    ),
    "factor:gamma=1,gamma=2": ("twice", r"hook is 'factor:.*', with gamma twice; expected it"),
    "factor:6": ("no key", r"hook is 'factor:6'; expected NAME or NAME:KEY=VALUE"),
    "factor:gama=6": (
        "option",
        r"hook factor: option is 'gama'; expected one of gamma, .*\. Did you mean gamma\? See unb",
    ),
    "factor:gamma=x": (
        "number",
        r"hook factor: gamma is 'x'; expected a number\. See unbraid hooks factor$",
    ),
    "factor:gamma=-1": (
        "range",
        r"hook factor: gamma is -1.0; expected a finite number of at least 0\. See unbraid hooks",
    ),
    "factor:hidden=64,": (
        "width",
        r"hook factor: hidden is '64,'; expected integers joined by commas",
    ),
    "factor:hidden=0": ("width 0", r"hook factor: hidden is 0; expected an integer of at least 1"),
    "prior:rule=uniforn": (
        "choice",
        r"hook prior: rule is 'uniforn'; expected one of logistic, .*uniform\. See unbraid hooks",
    ),
    "factor:site=w": ("site", r"site is 'w'; expected one of z\. Pass site=NAME"),
    "dip:site=w": ("site of a penalty", r"hook 'dip' reads site 'w'; the pair has z, x\. Choose"),
    "attribute:name=colour": (
        "attribute",
        r"attribute is 'colour'; the data's discrete labels and factors are: label, pose, part\.",
    ),
    "hsic:other=z,attribute=label": (
        "two others",
        r"hook hsic: attribute is 'label' and other is 'z'; expected one of them\. Drop one\. See",
    ),
    "hsic:other=pose": ("second site", r"hook 'hsic' reads site 'pose'; the pair has z, x"),
}


@pytest.mark.parametrize("hook", REFUSED, ids=[name for name, _ in REFUSED.values()])
def test_what_is_no_hook_is_refused_in_one_line(hook, unbraid, train_words, labelled):
    outcome = unbraid(*train_words(*hooked(hook), data=labelled))
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    said = [line for line in outcome.err.splitlines() if line.startswith("unbraid: ")]
    assert len(said) == 1
    assert re.search(REFUSED[hook][1], said[0]), said[0]


def test_data_without_labels_are_told_so(unbraid, train_words):
    outcome = unbraid(*train_words(*hooked("attribute")))
    outcome.check_refused(
        2, r"attribute is 'label'; the data's discrete labels and factors are: none\. Choose one"
    )
    assert not Path("run").exists()


def test_a_discrete_factor_may_lie_beside_continuous_ones():
    """All of them are float then; the critic reads the classes of the discrete one."""
    spec = DataSpec((1, 8, 9), "grey", 24, factor_sizes=(4, 0), factor_names=("pose", "size"))
    parts = add_hooks(vae(spec), ["attribute:name=pose,hidden=6"], spec)
    hook: Any = parts.hooks[0]
    x = torch.rand(10, 1, 8, 9)
    terms = Objective().terms(parts.model, parts.guide, (x,))
    factors = torch.from_numpy(FACTORS[:10])
    inputs, labels = hook.critic_inputs(terms, {"factors": factors})[0]
    assert labels.tolist() == FACTORS[:10, 0].astype(int).tolist()
    assert hook.critic(inputs).shape == (10, 4)
    with pytest.raises(OptionError, match=r"attribute is 'size'; .* are: pose\."):
        add_hooks(vae(spec), ["attribute:name=size"], spec)


def vae(spec, name="vae", **options) -> Any:
    method = load_method(name)
    return method.build(read_options(method.options, options), spec)


SPEC = DataSpec((1, 8, 9), "grey", 24, classes=3)


@pytest.mark.parametrize(
    ("name", "site", "size", "options"),
    [
        ("vae", "z", 5, {"latent_dim": 5}),
        ("u-vitae", "appearance", 3, {"appearance_dim": 3}),
        ("c-vitae", "perspective", 4, {"perspective_dim": 4}),
    ],
)
def test_critics_have_the_size_of_the_code(name, site, size, options):
    parts = vae(SPEC, name, **options)
    before = torch.get_rng_state()
    assert code_size(parts, site) == size
    assert torch.equal(torch.get_rng_state(), before)
    hooks = [f"prior:site={site}", f"factor:site={site}", f"attribute:site={site}"]
    built: Any = add_hooks(parts, hooks, SPEC).hooks
    assert all(isinstance(hook, Adversary) and hook.sites == (site,) for hook in built)
    assert [hook.critic(torch.zeros(7, size)).shape for hook in built] == [(7, 1), (7, 1), (7, 3)]
    with pytest.raises(OptionError, match=rf"site is 'w'; expected one of .*{site}.*Pass site="):
        code_size(parts, "w")


def test_what_a_method_has_of_hooks_and_streams_stays():
    parts = vae(SPEC, "factor-vae")
    more = add_hooks(parts, ["factor:gamma=2", "dip"], SPEC)
    assert more.hooks[0] is parts.hooks[0]
    assert [hook.name for hook in more.hooks] == ["factor", "factor-2", "dip"]
    assert tuple(more.streams) == tuple(parts.streams) == ("second",)
    assert add_hooks(vae(SPEC), ["factor"], SPEC).streams == ("second",)
    assert add_hooks(vae(SPEC), ["prior"], SPEC).streams == ()


def test_hooks_are_listed(unbraid):
    outcome = unbraid("hooks")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    for name, entry in HOOKS.items():
        assert any(line.split() == [name, *entry.summary.split()] for line in lines)
    assert lines[-1] == "next: unbraid hooks factor"
    found = json.loads(unbraid("hooks", "--json").out)
    assert found == {name: entry.summary for name, entry in HOOKS.items()}


@pytest.mark.parametrize("name", HOOKS)
def test_a_hooks_options_are_listed(name, unbraid):
    """Each with its meaning; and what is proposed next is accepted."""
    told = json.loads(unbraid("hooks", name, "--json").out)
    assert (told["name"], told["summary"]) == (name, HOOKS[name].summary)
    assert all(o["help"] and o["type"] and o["default"] for o in told["options"])
    outcome = unbraid("hooks", name)
    assert outcome.out.startswith(f"{name}: {HOOKS[name].summary}\n")
    table = [line.split()[0] for line in outcome.out.splitlines() if line.strip()]
    assert {option["name"] for option in told["options"]} <= set(table)
    words = shlex.split(outcome.out.splitlines()[-1])
    assert words[:3] == ["next:", "unbraid", "train"]
    assert hook_options(words[words.index("--hook") + 1])[0] == name
    for option in told["options"]:
        if option["default"] != "none":
            hook_options(f"{name}:{option['name']}={option['default']}")


@pytest.fixture
def clips(place):
    """Ten sequences of one length, and ten of two."""
    frames = np.random.default_rng(0).integers(0, 256, (10, 6, 8, 8), np.uint8)
    np.savez("clips.npz", sequences=frames)
    np.savez("ragged.npz", sequences=frames, lengths=np.full(10, 6) - np.arange(10) % 2)


def train_clips(*settings, method="static-dynamic", data="clips.npz"):
    words = ["train", method, "--data", data, "--out", "run", "--steps", "4", "--batch-size", "5"]
    return [*words, "--set", "hidden=6", *settings]


@pytest.mark.parametrize("data", ["clips.npz", "ragged.npz"])
@pytest.mark.parametrize("critic", ["pair", "mlp"])
def test_frames_hide_their_sequence_from_a_critic(critic, data, unbraid, clips):
    hook = hooked(f"scene:weight=30,critic={critic},hidden=6,5,warmup=3")
    assert unbraid(*train_clips("companions=1", "frames=2", data=data), *hook).code == 0
    last = [row for row in rows() if "loss" in row][-1]
    assert last["loss"] == pytest.approx(-last["elbo"] + last["scene"], rel=1e-4)
    assert last["scene"] == pytest.approx(30 * math.log(2), rel=0.3)  # an untrained critic's
    assert 0 <= last["scene_accuracy"] <= 1
    assert face.load("run", device="cpu").parts.hooks[0].weight.end == 30  # pyright: ignore


@pytest.mark.parametrize(
    ("method", "words", "message"),
    [
        ("static-dynamic", ["frames=2"], "hook scene compares.*Set companions=1"),
        ("fhvae", [], "hook scene compares .*companion"),
    ],
)
def test_a_scene_needs_companions(method, words, message, unbraid, clips):
    site = "content" if method == "fhvae" else "dynamic"
    chosen = train_clips(*words, method=method)
    unbraid(*chosen, *hooked(f"scene:site={site}")).check_refused(2, message)


def test_no_such_hook_to_list(unbraid):
    message = r"hook is 'atribute'; expected one of tc, .*\. Did you mean attribute\?"
    unbraid("hooks", "atribute").check_refused(2, message)


def trained(out="run", hooks: Any = (), **settings: Any) -> Any:
    options = {"hidden": (8,), "latent_dim": 2}
    return face.train(
        "vae", "digits.npz", out, steps=3, batch_size=5, options=options, progress=False,
        hooks=hooks, **settings, say=lambda _: None,
    )  # fmt: skip


def test_python_trains_and_loads_with_hooks(place):
    hooks = [f"factor:gamma=3,{SMALL}", "dip:offdiag=2"]
    run = trained(hooks=hooks)
    assert [hook.name for hook in run.parts.hooks] == ["factor", "dip"]
    assert list(run.config["hooks"]) == config()["hooks"] == hooks
    loaded = face.load("run", device="cpu")
    assert same(loaded.model.state_dict(), run.model.state_dict())
    assert same(loaded.guide.state_dict(), run.guide.state_dict())
    assert loaded.step == run.step
    assert loaded.evaluate(3, progress=False)["n"] == len(run.data.test)
    again = trained(hooks=hooks, out="again", resume=False)
    assert same(again.model.state_dict(), run.model.state_dict())


@pytest.mark.parametrize("hooks", ["factor", None, [("factor", 3)], [HookError]])
def test_hooks_are_a_list_of_texts(hooks, place):
    with pytest.raises(OptionError, match="expected a list of texts such as"):
        trained(hooks=hooks)
    assert not Path("run").exists()


def test_the_likelihood_knows_no_hook(unbraid, train_words):
    """The same weights are judged alike, whatever they were trained with."""
    assert unbraid(*train_words(*hooked(f"prior:weight=3,{SMALL}", "dip"))).code == 0
    with_hooks = face.load("run", device="cpu")
    record = config()
    record["hooks"], record["keep"] = [], "last"
    Path("run/config.json").write_text(json.dumps(record))
    without = face.load("run", device="cpu")
    found = [run.log_likelihood(3, progress=False).log_likelihood for run in (with_hooks, without)]
    assert torch.equal(*found)
