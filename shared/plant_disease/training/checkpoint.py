"""A training run as it stands after an epoch, so that one that was cut off can go on."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from plant_disease.training.recipe import RecipeError

CHECKPOINT_FILE = "checkpoint.safetensors"


def save_tensors(tensors: dict[str, Tensor], path: Path, notes: dict[str, str] | None = None) -> None:
    """Write a safetensors file; it appears whole or not at all."""
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, notes)
    partial.replace(path)


def save_checkpoint(
    folder: Path, networks: dict[str, torch.nn.Module], optimiser: torch.optim.Optimizer, notes: dict[str, Any]
) -> None:
    """Write the state of networks and optimiser, and what JSON can hold beside it. Nothing is pickled."""
    state = optimiser.state_dict()
    tensors = {f"{key}/{name}": t for key, network in networks.items() for name, t in network.state_dict().items()}
    tensors |= {
        f"optimiser/{index}/{name}": tensor for index, slot in state["state"].items() for name, tensor in slot.items()
    }
    save_tensors(
        tensors, folder / CHECKPOINT_FILE, {"notes": json.dumps(notes), "groups": json.dumps(state["param_groups"])}
    )


def load_checkpoint(
    folder: Path, networks: dict[str, torch.nn.Module], optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote, and give back its notes.

    Raises:
        RecipeError: there is none, or it is of another network.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise RecipeError(f"{folder} holds no checkpoint to resume from.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            written = file.metadata()
        for key, network in networks.items():
            network.load_state_dict(_below(tensors, f"{key}/"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below(tensors, "optimiser/").items():
            index, _, slot = name.partition("/")
            state.setdefault(int(index), {})[slot] = tensor
        optimiser.load_state_dict({"state": state, "param_groups": json.loads(written["groups"])})
        notes: dict[str, Any] = json.loads(written["notes"])
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise RecipeError(f"{path} does not fit this recipe: {error}") from error
    return notes


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
