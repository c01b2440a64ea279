"""What a checkpoint gives back, which ones are kept, and what does not fit."""

import dataclasses
import random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from unbraid.inference import CheckpointError, Checkpoints, CheckpointWarning, TrainingState


def small_state(step=0, value=0.0, **kwargs):
    module = nn.Linear(3, 2)
    nn.init.constant_(module.weight, value)
    return TrainingState(step, {"model": module}, **kwargs)


def weight_is(state, value):
    weight = state.modules["model"].weight
    return torch.equal(weight, torch.full_like(weight, value))


def tied_modules():
    """A model and a guide with one layer, and one buffer, in common."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    guide = nn.Sequential(model[0], nn.Linear(4, 5), model[1])
    return {"model": model, "guide": guide}


def test_shared_parameters_are_stored_once_and_stay_shared(tmp_path):
    modules = tied_modules()
    path = Checkpoints(tmp_path).save(TrainingState(3, modules))
    fresh = tied_modules()
    assert Checkpoints(tmp_path).load(TrainingState(0, fresh)) == 3
    for name, module in modules.items():
        for key, tensor in module.state_dict().items():
            assert torch.equal(fresh[name].state_dict()[key], tensor)
    assert fresh["model"][0].weight is fresh["guide"][0].weight
    # 12 + 4 of the layer, 4 * 4 and one int64 of the norm, 20 + 5 of the guide's own.
    assert sum(t.numel() for t in load_file(path / "weights.safetensors").values()) == 58


def test_one_module_loads_alone_with_the_shared_layer(tmp_path):
    modules = tied_modules()
    Checkpoints(tmp_path).save(TrainingState(3, modules))
    guide = tied_modules()["guide"]
    assert Checkpoints(tmp_path).load_modules({"guide": guide}) == 3
    for key, tensor in modules["guide"].state_dict().items():
        assert torch.equal(guide.state_dict()[key], tensor)


def test_a_checkpoint_brings_back_every_global_generator(tmp_path):
    def draw():
        return random.gauss(0, 1), random.random(), np.random.randn(3).tolist(), torch.randn(3)

    draw()  # Python and NumPy keep the second of a pair of normals
    Checkpoints(tmp_path).save(small_state(1))
    expected = draw()
    draw()
    Checkpoints(tmp_path).load(small_state())
    again = draw()
    assert again[:3] == expected[:3]
    assert torch.equal(again[3], expected[3])


def test_layouts_and_types_survive(tmp_path):
    def build():
        module = nn.Conv2d(3, 4, (2, 5))
        module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        module.register_buffer("flags", torch.tensor([True, False, True]))
        module.register_buffer("count", torch.tensor(7, dtype=torch.int64))
        module.register_buffer("halves", torch.randn(2, 6).bfloat16().T)
        module.register_buffer("empty", torch.zeros(0, 9, dtype=torch.float64))
        return module

    old, new = build(), build()
    Checkpoints(tmp_path).save(TrainingState(1, {"model": old}))
    Checkpoints(tmp_path).load(TrainingState(0, {"model": new}))
    for name, tensor in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], tensor)
        assert new.state_dict()[name].stride() == tensor.stride()


def test_the_last_two_and_the_best_are_kept(tmp_path):
    store = Checkpoints(tmp_path, keep=2)
    for step in (10, 20, 30, 40, 50):
        store.save(small_state(step, step), best=step in (10, 20))
    assert store.steps() == [20, 40, 50]
    assert store.best_step() == 20
    for which, step in (("last", 50), ("best", 20), (40, 40)):
        state = small_state()
        assert store.load(state, which) == step
        assert weight_is(state, step)
    model = nn.Linear(3, 2)
    assert store.load_modules({"model": model}) == 20


def test_the_same_step_may_be_saved_again(tmp_path):
    store = Checkpoints(tmp_path)
    store.save(small_state(10, 1.0))
    store.save(small_state(10, 2.0), best=True)
    state = small_state()
    assert store.load(state, 10) == 10
    assert weight_is(state, 2)


def test_a_run_that_went_back_leaves_the_later_checkpoints_aside(tmp_path):
    store = Checkpoints(tmp_path)
    store.save(small_state(10, 1.0))
    store.save(small_state(20, 2.0))
    store.load(small_state(), 10)
    store.save(small_state(15, 3.0))
    assert store.steps() == [10, 15]
    assert (tmp_path / "left-ckpt-000020" / "weights.safetensors").exists()


def test_reading_makes_no_folder_and_no_checkpoint_is_an_error(tmp_path):
    store = Checkpoints(tmp_path / "none")
    assert store.steps() == [] and store.best_step() is None
    with pytest.raises(CheckpointError, match="has no undamaged checkpoint for 'last'"):
        store.load(small_state())
    assert not (tmp_path / "none").exists()


def test_the_best_is_asked_for_and_there_is_none(tmp_path):
    store = Checkpoints(tmp_path)
    store.save(small_state(1))
    with pytest.raises(CheckpointError, match=r"for 'best'; expected one of steps \[1\]"):
        store.load(small_state(), "best")
    with pytest.raises(ValueError, match="which is 'first'; expected 'last'"):
        store.load(small_state(), "first")
    with pytest.raises(ValueError, match="keep is 0; expected an integer of at least 1"):
        Checkpoints(tmp_path, keep=0)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            nn.Linear(3, 4),
            r"float32 \(2, 3\) in ckpt-000001; expected float32 \(4, 3\) \(and 1 more",
        ),
        (nn.Linear(3, 2).double(), r"model.weight is float32 \(2, 3\) in .*; expected float64"),
        (nn.Linear(3, 2, bias=False), "model.bias is in ckpt-000001; expected no tensor of that"),
        (nn.Sequential(nn.Linear(3, 2)), r"model.0.weight is missing in ckpt-000001; expected f"),
    ],
)
def test_another_shape_is_one_line_and_changes_nothing(tmp_path, module, message):
    store = Checkpoints(tmp_path)
    store.save(small_state(1))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for load in (store.load_modules, lambda modules: store.load(TrainingState(0, modules))):
        with pytest.raises(CheckpointError, match=message) as caught:
            load({"model": module})
        assert "\n" not in str(caught.value)
    assert all(torch.equal(module.state_dict()[name], before[name]) for name in before)


def test_sharing_must_agree(tmp_path):
    store = Checkpoints(tmp_path)
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    tied, untied = nn.Sequential(first, first), nn.Sequential(first, second)
    store.save(TrainingState(1, {"model": tied}))
    with pytest.raises(CheckpointError, match=r"model.0.weight and model.1.weight are one tensor"):
        store.load(TrainingState(0, {"model": untied}))
    store.save(TrainingState(2, {"model": untied}))
    with pytest.raises(
        CheckpointError, match=r"are two tensors in .*; expected one that is shared"
    ):
        store.load(TrainingState(0, {"model": tied}))


def with_optimizer(make, parameters=slice(None)):
    state = small_state(1)
    optimizer = make(list(state.modules["model"].parameters())[parameters])
    optimizer.zero_grad()
    state.modules["model"](torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = dataclasses.replace(state, optimizers={"pair": optimizer})
    return state


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def with_average():
    return small_state(tensors={"average": torch.zeros(2)})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: with_optimizer(sgd), "pair is Adam in ckpt-000001; expected SGD"),
        (
            lambda: with_optimizer(torch.optim.Adam, slice(1)),
            "over 2 parameters in .*; expected 1,",
        ),
        (
            lambda: with_optimizer(torch.optim.Adam, slice(None, None, -1)),
            "2, the same in the same",
        ),
        (small_state, r"optimizers are \['pair'\] in ckpt-000001; expected \[\]"),
        (with_average, "tensors/average is missing"),
    ],
)
def test_another_optimiser_or_tensor_is_refused(tmp_path, build, message):
    store = Checkpoints(tmp_path)
    store.save(with_optimizer(torch.optim.Adam))
    with pytest.raises(CheckpointError, match=message):
        store.load(build())


def test_a_generator_of_another_device_and_a_missing_value_are_refused(tmp_path):
    store = Checkpoints(tmp_path)
    store.save(small_state(1, generators={"noise": torch.Generator()}, extra={"best": 2.0}))
    with pytest.raises(
        CheckpointError, match=r"generators are \['noise'\] in .*; expected \['hook'\]"
    ):
        store.load(small_state(generators={"hook": torch.Generator()}))
    with pytest.raises(CheckpointError, match=r"extra.history is missing in ckpt-000001"):
        store.load(small_state(generators={"noise": torch.Generator()}, extra={"history": []}))


@pytest.mark.parametrize(
    "value",
    [
        np.float64(1.0),
        {"when": object()},
        [torch.zeros(1).expand(9)],
        {(1, 2): 3},
        torch.eye(2).to_sparse(),
    ],
)
def test_what_could_not_be_read_back_is_refused_when_saved(tmp_path, value):
    with pytest.raises(TypeError, match=r"the training state.extra.odd.* expected .*"):
        Checkpoints(tmp_path).save(small_state(1, extra={"odd": value}))
    assert not list(tmp_path.iterdir())


def test_another_setting_is_said(tmp_path, monkeypatch):
    Checkpoints(tmp_path).save(small_state(1))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    with pytest.warns(CheckpointWarning, match="threads 1 there, 8 here.*differ in rounding"):
        assert Checkpoints(tmp_path).load(small_state()) == 1
