"""Photos as torch datasets."""

import random

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from plant_disease.images import Pixels
from plant_disease.training.augment import Augment
from plant_disease.training.folders import Example, pixels


class TrainingSet(Dataset[tuple[Tensor, int, int]]):
    """Augmented photos, uint8 (3, size, size), labels and sources. Photos are decoded at `decode_size` px first."""

    decode_size = 256

    def __init__(self, examples: list[Example], augment: Augment) -> None:
        self._examples = examples
        self._augment = augment

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        example = self._examples[index]
        decoded = pixels(example, self.decode_size)
        return self._augment(decoded, swap_background=example.swap_background), example.label, example.source


def hard_views(examples: list[Example], augment: Augment, seed: int) -> Pixels:
    """Every photo once, changed as in training and always so: uint8 (N, size, size, 3)."""
    random.seed(seed)
    torch.manual_seed(seed)
    changed = TrainingSet(examples, augment)
    return np.stack([changed[index][0].permute(1, 2, 0).numpy() for index in range(len(examples))])


class PhotoSet(Dataset[tuple[Tensor, int]]):
    """Photos exactly as they are served, uint8 (3, size, size), and labels."""

    def __init__(self, examples: list[Example], size: int) -> None:
        self._examples = examples
        self._size = size

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        example = self._examples[index]
        return torch.from_numpy(pixels(example, self._size).copy()).permute(2, 0, 1), example.label
