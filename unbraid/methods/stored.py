"""The parts of a method, built again as the configuration of a run says."""

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
