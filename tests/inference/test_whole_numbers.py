"""Integers of NumPy are integers, wherever numbers are asked for; what is none is refused."""

import json
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

from unbraid.data import Batches, Dataset
from unbraid.inference import (
    CriticSchedule,
    Hold,
    LinearWarmup,
    Objective,
    annealed_log_likelihood,
    fit,
    log_likelihood,
)

from .pairs import vae

whole_number = import_module("unbraid.inference.whole_numbers").whole_number


@pytest.mark.parametrize("number", [3, np.int64(3), np.uint8(3)])
def test_integers_become_those_of_python(number):
    assert type(whole_number("draws", number, 3)) is int


@pytest.mark.parametrize("number", [2, 3.0, np.float64(3), True, np.bool_(True), "3", None])
def test_what_is_no_integer_or_too_small_is_refused(number):
    with pytest.raises(ValueError, match=r"draws is .*; expected an integer of at least 3"):
        whole_number("draws", number, 3)


def test_parts_of_an_objective_take_them():
    three: Any = np.int64(3)
    hold = Hold([torch.nn.Parameter(torch.zeros(1))], three)
    numbers = [
        LinearWarmup(three).steps,
        Objective(particles=three).num_particles,
        CriticSchedule(steps=three).steps,
        hold.steps,
    ]
    assert numbers == [3, 3, 3, 3]
    assert {type(number) for number in numbers} == {int}


def test_a_likelihood_takes_them_and_can_be_written_down():
    model, guide, (x,) = vae()[:3]
    seven: dict[str, Any] = {"samples": np.int64(7), "seed": np.int64(1)}
    found = log_likelihood(model, guide, x, **seven)
    same = log_likelihood(model, guide, x, samples=7, seed=1)
    assert torch.equal(found.log_likelihood, same.log_likelihood)
    assert json.dumps(found.summary()) == json.dumps(same.summary())


def test_annealing_takes_them():
    model, guide, (x,) = vae()[:3]
    numbers: dict[str, Any] = {"chains": 2, "temperatures": 3, "leapfrog_steps": 2, "seed": 1}
    drawn: dict[str, Any] = {name: np.int64(number) for name, number in numbers.items()}
    found = annealed_log_likelihood(model, guide, x, **drawn)
    same = annealed_log_likelihood(model, guide, x, **numbers)
    assert torch.equal(found.log_likelihood, same.log_likelihood)


def test_a_training_takes_them():
    def losses(cast):
        model, guide, (x,) = vae()[:3]
        batches = Batches(Dataset((255 * x).byte()), cast(4), seed=cast(2))
        numbers = {"steps": cast(2), "seed": cast(1), "log_every": cast(1)}
        history = fit(model, guide, batches, **numbers, progress=False).history
        return [row["loss"] for row in history]

    assert losses(np.int64) == losses(int)
    assert len(losses(int)) == 2
