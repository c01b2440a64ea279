"""Malformed pairs: each raises `PairError` that names the site and what differs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.nn import PyroModule, PyroParam
from torch import nn

from unbraid.inference import PairError, check_pair

B, K, D = 5, 3, 4
X = torch.zeros(B, D)


def normal(size, event=1, batch=(B,)):
    return dist.Normal(torch.zeros(*batch, size), 1.0).to_event(event)


class Program(nn.Module):
    """A function as a module with a parameter."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.function(x)


def model(x):
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", normal(K))
        pyro.sample("x", normal(D), obs=x)
    return z


def guide(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", normal(K))


def misses_a_site(x):
    with pyro.plate("data", len(x)):
        pyro.sample("y", normal(K))


def adds_a_site(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", normal(K))
        pyro.sample("extra", normal(K), infer={"is_auxiliary": True})


def smaller_plate(x):
    with pyro.plate("data", len(x) - 1):
        pyro.sample("z", normal(K, batch=(B - 1,)))


def no_event(x):
    with pyro.plate("other", K, dim=-1), pyro.plate("data", len(x), dim=-2):
        pyro.sample("z", normal(K, event=0))


def no_plate(x):
    pyro.sample("z", normal(K))


def wider_event(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", normal(K + 1))


def other_plate(x):
    with pyro.plate("rows", len(x)):
        pyro.sample("z", normal(K))


def subsampled(x):
    with pyro.plate("data", 100, subsample=torch.arange(B)):
        pyro.sample("z", normal(K))


def scaled(x):
    with poutine.scale(scale=2.0):
        guide(x)


def observes(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", normal(K), obs=torch.zeros(B, K))


def samples_the_data(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", normal(K))
        pyro.sample("x", normal(D))


def has_param(x):
    pyro.param("loc", torch.zeros(K))
    guide(x)


def discrete(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Bernoulli(torch.full((B, K), 0.5)).to_event(1))


def discrete_model(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Bernoulli(torch.full((B, K), 0.3)).to_event(1))
        pyro.sample("x", normal(D), obs=x)


def without_data(x):
    guide(x)


def model_without_plate(x):
    pyro.sample("z", normal(K))
    pyro.sample("x", normal(D), obs=x)


def wrong_data(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", normal(K))
        pyro.sample("x", normal(D + 1), obs=x)


MALFORMED = {
    "guide misses a site": (model, misses_a_site, "latent site 'z' is in the model but not"),
    "guide adds a site": (model, adds_a_site, "site 'extra' is in the guide but not"),
    "plate sizes": (model, smaller_plate, r"'z' has batch shape \(5,\) in the model and \(4,\)"),
    "to_event": (model, no_event, r"site 'z' has event shape \(3,\) in the model and \(\)"),
    "no plate": (model, no_plate, r"'z' lies in plates 'data' \(dim -1, size 5\) .* and none"),
    "no plate in both": (
        model_without_plate,
        no_plate,
        r"site 'z' of the model has batch shape \(5,\), but no plate declares dim -1",
    ),
    "event shapes": (model, wider_event, r"'z'.*\(3,\) in the model and \(4,\) in the guide"),
    "plate names": (model, other_plate, "site 'z' lies in plates 'data' .* and 'rows'"),
    "subsample": (model, subsampled, r"site 'z' lies in plates 'data' \(dim -1, size 5\)"),
    "scale": (model, scaled, r"site 'z' is scaled by 1.0 in the model and 2.0 in the guide"),
    "guide observes": (model, observes, "guide site 'z' is observed"),
    "guide samples the data": (model, samples_the_data, "site 'x' is sampled in the guide but"),
    "pyro.param": (model, has_param, "parameter 'loc' lies in Pyro's parameter store"),
    "not reparameterised": (
        discrete_model,
        discrete,
        "guide site 'z' has a .*without reparameterised samples",
    ),
    "no observed site": (without_data, guide, "the model has no observed site"),
    "data of another shape": (wrong_data, guide, r"site 'x': .*\[5, 4\]\) vs .*\[5, 5\]"),
}


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_pairs_are_refused(name, validation):
    """Whatever checks of its own the user has Pyro do."""
    p, q, message = MALFORMED[name]
    with pytest.raises(PairError, match=message), pyro.validation_enabled(validation):
        check_pair(Program(p), Program(q), X)
    pyro.clear_param_store()


def test_pyros_own_modules_are_refused():
    class Guide(PyroModule):
        def __init__(self):
            super().__init__()
            self.loc: Any = PyroParam(torch.zeros(K))

        def forward(self, x):
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Normal(self.loc, 1.0).to_event(1))

    class Registering(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(D, K)

        def forward(self, x):
            pyro.module("guide", self)
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Normal(self.net(x), 1.0).to_event(1))

    for made in (Guide(), Registering()):
        with pytest.raises(PairError, match=r"lies in Pyro's parameter store. Keep parameters in"):
            check_pair(Program(model), made, X)
        pyro.clear_param_store()


def test_parameters_are_asked_for():
    facts = check_pair(model, guide, X)
    assert facts.parameters == ()
    with pytest.raises(PairError, match="model and guide have no trainable parameters"):
        facts.require_parameters()


def test_an_error_inside_a_program_says_whose_it_is():
    def broken(x):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(PairError, match=r"the guide failed on arguments of shape \(5, 4\): mat1"):
        check_pair(Program(model), Program(broken), X)
    with pytest.raises(PairError, match=r"the model failed on arguments of shape \(5, 4\): mat1"):
        check_pair(Program(broken), Program(guide), X)


def test_the_facts_of_a_right_pair():
    p, q = Program(model), Program(guide)
    q.register_parameter("same", p.weight)
    facts = check_pair(p, q, X)
    assert (facts.nesting, facts.size, facts.enumerated) == (1, B, False)
    assert (facts.latents, facts.observed) == (("z",), ("x",))
    assert [id(x) for x in facts.parameters] == [id(p.weight), id(q.weight)]
    p.weight.requires_grad_(False)
    assert [id(x) for x in check_pair(p, q, X).parameters] == [id(q.weight)]


def test_the_check_leaves_no_trace():
    """Neither in generators, nor in buffers, nor in Pyro's settings."""

    class Counting(Program):
        def __init__(self, function):
            super().__init__(function)
            self.norm = nn.BatchNorm1d(D)

        def forward(self, x):
            self.norm(x)
            return self.function(x)

    programs = Counting(model), Counting(guide)
    kept = [b.clone() for program in programs for b in program.buffers()]
    state = torch.get_rng_state()
    with pyro.validation_enabled(False):
        check_pair(*programs, torch.randn(B, D, generator=torch.Generator().manual_seed(0)))
        assert not torch.distributions.Distribution._validate_args
    assert torch.equal(torch.get_rng_state(), state)
    now = [b for program in programs for b in program.buffers()]
    assert all(torch.equal(a, b) for a, b in zip(kept, now, strict=True))
    assert all(p.grad is None for program in programs for p in program.parameters())


@pytest.mark.slow
def test_the_check_does_not_rest_on_assertions():
    """All of the table again under `python -O`, for which torch's byte code is made anew."""
    script = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import re, pyro\n"
        "import test_check as t\n"
        "for name, (p, q, message) in t.MALFORMED.items():\n"
        "    try:\n"
        "        t.check_pair(t.Program(p), t.Program(q), t.X)\n"
        "    except t.PairError as error:\n"
        "        print(name if re.search(message, str(error)) else f'{name}: {error}')\n"
        "    pyro.clear_param_store()\n"
    )
    run = subprocess.run([sys.executable, "-O", "-c", script], capture_output=True, text=True)
    assert run.stdout.splitlines() == list(MALFORMED), run.stdout + run.stderr
