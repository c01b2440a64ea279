"""What a resumed run needs, taken apart into tensors and plain values, and put back in place."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .checkpoint_folder import TRAIN, CheckpointError, find_unstorable
from .random_state import global_random_state, restore_global_random_state

_ADVICE = "Use the options that it was trained with"


class Scheduler(Protocol):
    """Anything whose state is a dictionary, such as torch's learning rate schedulers."""

    def state_dict(self) -> dict[str, Any]:
        """The state as plain values."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take up a state."""
        ...


@dataclass(frozen=True)
class TrainingState:
    """The objects of a run whose state makes it go on as if it had never stopped.

    The states of the global random generators (Python, NumPy, torch, CUDA) are stored beside them.

    Attributes:
        step: Steps made so far, at least 0.
        modules: Networks by name, with everything in their `state_dict`; a tensor in several of
            them is stored once.
        optimizers: Optimisers by name.
        schedulers: Learning rate schedules by name.
        generators: Random generators of the run's own, by name.
        tensors: Further tensors by name, such as averages of weights.
        extra: Plain values by name: numbers, strings, lists and dictionaries.
    """

    step: int
    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer] = field(default_factory=dict)
    schedulers: Mapping[str, Scheduler] = field(default_factory=dict)
    generators: Mapping[str, torch.Generator] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def named_tensors(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Parameters and persistent buffers, the objects themselves, as `module.path.to.tensor`."""
    named = {
        f"{name}.{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict(keep_vars=True).items()
    }
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} is a {type(value).__name__}; expected a tensor. Keep it in `extra`"
            )
    return named


def pack_weights(state: TrainingState) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Dense CPU tensors under their first name each, and that name under each further one."""
    weights: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    first_names: dict[int, str] = {}
    for name, tensor in _all_tensors(state).items():
        first = first_names.setdefault(id(tensor), name)
        if first == name:
            weights[name] = tensor.detach().cpu().contiguous()
        else:
            shared[name] = first
    return weights, shared


def pack_train(state: TrainingState) -> dict[str, Any]:
    """Everything but the weights, as plain containers.

    Raises:
        TypeError: If a value could not be read back by a loader that runs no code; names it.
    """
    names = _names_by_identity(state)
    train = {
        "optimizers": {
            key: {
                "class": type(optimizer).__name__,
                "parameters": _parameter_names(optimizer, names),
                "state": optimizer.state_dict(),
            }
            for key, optimizer in state.optimizers.items()
        },
        "schedulers": {
            key: {"class": type(scheduler).__name__, "state": scheduler.state_dict()}
            for key, scheduler in state.schedulers.items()
        },
        "generators": {
            key: {"class": generator.device.type, "state": generator.get_state()}
            for key, generator in state.generators.items()
        },
        "extra": state.extra,
        "random": global_random_state(),
    }
    if problem := find_unstorable(train, "the training state"):
        raise TypeError(f"{problem}. Convert it before it is saved")
    return train


def unpack(
    state: TrainingState, weights: Mapping[str, Tensor], train: dict[str, Any], where: str
) -> None:
    """Fill the objects of a state, after comparing all that can be compared.

    Raises:
        CheckpointError: If the checkpoint and the state differ in names, shapes, dtypes or kinds.
    """
    asked = _all_tensors(state)
    check_tensors(asked, weights, where)
    try:
        _check_train(state, train, where)
        copy_tensors(asked, weights)
        for key, optimizer in state.optimizers.items():
            optimizer.load_state_dict(train["optimizers"][key]["state"])
        for key, scheduler in state.schedulers.items():
            scheduler.load_state_dict(train["schedulers"][key]["state"])
        for key, generator in state.generators.items():
            generator.set_state(train["generators"][key]["state"])
        restore_global_random_state(train["random"])
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(
            f"{where}/{TRAIN} does not fit this run ({reason}). Train afresh"
        ) from error
    state.extra.clear()
    state.extra.update(train["extra"])


def check_tensors(asked: Mapping[str, Tensor], stored: Mapping[str, Tensor], where: str) -> None:
    """Compare names, shapes, dtypes and sharing; the message names the first difference only."""
    problems = list(_tensor_problems(asked, stored, where))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CheckpointError(f"{problems[0]}{more}. {_ADVICE}")


@torch.no_grad()
def copy_tensors(asked: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
    """Copy values into existing tensors."""
    for name, tensor in asked.items():
        tensor.copy_(stored[name])


def _all_tensors(state: TrainingState) -> dict[str, Tensor]:
    # No module's tensor has a slash before its first dot, so the two kinds of names cannot meet.
    return named_tensors(state.modules) | {
        f"tensors/{name}": value for name, value in state.tensors.items()
    }


def _names_by_identity(state: TrainingState) -> dict[int, str]:
    names: dict[int, str] = {}
    for name, tensor in _all_tensors(state).items():
        names.setdefault(id(tensor), name)
    return names


def _parameter_names(
    optimizer: torch.optim.Optimizer, names: Mapping[int, str]
) -> list[list[str]]:
    """Whose state each slot of an optimiser holds, by group."""
    return [
        [
            names.get(id(parameter), f"unnamed {tuple(parameter.shape)}")
            for parameter in group["params"]
        ]
        for group in optimizer.param_groups
    ]


def _tensor_problems(
    asked: Mapping[str, Tensor], stored: Mapping[str, Tensor], where: str
) -> Iterator[str]:
    partners: dict[int, str] = {}
    for name, tensor in asked.items():
        if name not in stored:
            yield f"{name} is missing in {where}; expected {_describe(tensor)}"
            continue
        if _describe(tensor) != _describe(stored[name]):
            yield f"{name} is {_describe(stored[name])} in {where}; expected {_describe(tensor)}"
        partner = partners.setdefault(id(tensor), name)
        if stored.get(partner) is not stored[name]:
            yield f"{partner} and {name} are two tensors in {where}; expected one that is shared"
    for name in sorted(stored.keys() - asked.keys()):
        yield f"{name} is in {where}; expected no tensor of that name"
    owners: dict[int, str] = {}
    for name in sorted(asked.keys() & stored.keys()):
        owner = owners.setdefault(id(stored[name]), name)
        if asked[owner] is not asked[name]:
            yield f"{owner} and {name} are one tensor in {where}; expected two"


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _check_train(state: TrainingState, train: dict[str, Any], where: str) -> None:
    parts = ("optimizers", "schedulers", "generators", "extra", "random")
    _check_names("the parts of train.pt", parts, train, where)
    kinds = {
        "optimizers": {key: type(value).__name__ for key, value in state.optimizers.items()},
        "schedulers": {key: type(value).__name__ for key, value in state.schedulers.items()},
        "generators": {key: value.device.type for key, value in state.generators.items()},
    }
    for part, classes in kinds.items():
        _check_names(part, classes, train[part], where)
        for key, expected in classes.items():
            if (found := train[part][key]["class"]) != expected:
                raise CheckpointError(
                    f"{part}.{key} is {found} in {where}; expected {expected}. {_ADVICE}"
                )
    names = _names_by_identity(state)
    for key, optimizer in state.optimizers.items():
        _check_optimizer(f"optimizers.{key}", optimizer, train["optimizers"][key], names, where)
    for key, scheduler in state.schedulers.items():
        stored = train["schedulers"][key]["state"]
        _check_present(f"schedulers.{key}", scheduler.state_dict(), stored, where)
    _check_present("extra", state.extra, train["extra"], where)


def _check_optimizer(
    what: str,
    optimizer: torch.optim.Optimizer,
    stored: dict[str, Any],
    names: Mapping[int, str],
    where: str,
) -> None:
    found, expected = stored["parameters"], _parameter_names(optimizer, names)
    if found != expected:
        raise CheckpointError(
            f"{what} is over {_count(found)} parameters in {where}; "
            f"expected {_count(expected)}, the same in the same order. {_ADVICE}"
        )
    # Torch would fill what is missing with its defaults, and the run would go on as another one.
    groups = zip(optimizer.param_groups, stored["state"]["param_groups"], strict=True)
    for index, (group, stored_group) in enumerate(groups):
        _check_present(f"{what}.param_groups.{index}", group, stored_group, where)


def _check_names(what: str, asked: Iterable[str], stored: Collection[str], where: str) -> None:
    if set(asked) != set(stored):
        raise CheckpointError(
            f"{what} are {sorted(stored)} in {where}; expected {sorted(asked)}. {_ADVICE}"
        )


def _check_present(what: str, asked: Iterable[str], stored: Collection[str], where: str) -> None:
    if missing := [name for name in asked if name not in stored]:
        raise CheckpointError(
            f"{what}.{missing[0]} is missing in {where}; expected a value. {_ADVICE}, "
            "and the version of torch"
        )


def _count(groups: list[list[str]]) -> str:
    return "+".join(str(len(group)) for group in groups)
