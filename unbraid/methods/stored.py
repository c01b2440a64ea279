"""A run's method, built again as its configuration says, and which of its weights are judged."""

from collections.abc import Mapping
from typing import Any

from .method import DataSpec, Parts, load_method
from .options import read_options


def build_stored(config: Mapping[str, Any]) -> tuple[Parts, DataSpec]:
    """Build a method for the data that it was built for, and say what these were.

    Args:
        config: What `config.json` of the run holds.

    Raises:
        KeyError, TypeError, AttributeError: If it is damaged.
        OptionError: If there is no such method, or an option is refused.
    """
    method = load_method(config["method"])
    spec: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in config["spec"].items()
    }
    data = DataSpec(**spec)
    return method.build(read_options(method.options, config["options"]), data), data


def judged_weights(config: Mapping[str, Any], parts: Parts) -> str:
    """Say which checkpoint of a run is judged, as `Checkpoints.load_modules` names it.

    A penalty or a weight is no part of the validation bound, so that of weights which that bound
    chooses, a penalised method would keep the less penalised ones.

    Args:
        config: What `config.json` of the run holds. Versions that did not name `keep` kept the
            best.
        parts: The method's parts.

    Returns:
        `"last"`, or `"best-or-last"`: the best where there was a validation.
    """
    keep = config.get("keep", "best")
    if keep == "auto":
        objective = parts.objective(config.get("particles", 1))
        bound_alone = objective.ends_as_bound and not config["hooks"]
        keep = "best" if bound_alone or config["patience"] is not None else "last"
    return "last" if keep == "last" else "best-or-last"
