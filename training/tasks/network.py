"""The network's source: `models/<name>/network.py`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from imaging.errors import ConfigurationError
from models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn


def build_network(spec: ModelSpec, seed: int) -> nn.Module:
    """What `models.<name>.network.build` makes for a description.

    Raises
    ------
    ConfigurationError
        There is no such module, or it can't make a network for this description.
    """
    module = f"models.{spec.name}.network"
    try:
        build = importlib.import_module(module).build
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise ConfigurationError(f"there is no models/{spec.name}/network.py to build the network with") from None
        raise
    try:
        return build(spec, seed)
    except ValueError as error:
        raise ConfigurationError(f"models/{spec.name}/spec.yaml: {error}") from None
