"""What a network was trained on is what it is served."""

from pathlib import Path

import numpy as np
import torch

from plant_disease import images
from plant_disease.bundle import open_bundle
from plant_disease.runtimes.torch import TorchRuntime
from plant_disease.settings import bundled_models
from plant_disease.training.data import PhotoSet
from plant_disease.training.fit import MEAN, STD, normalise
from plant_disease.training.folders import Example
from tests.samples import LEAVES, NOT_LEAVES

PHOTOS = [*list(LEAVES)[:24], *NOT_LEAVES]


def test_training_and_serving_give_the_same_array(tmp_path: Path) -> None:
    bundle = open_bundle(bundled_models(), cache=tmp_path)
    expects = bundle.manifest.input
    assert (expects.mean, expects.std) == (MEAN, STD)
    dataset = PhotoSet([Example(path, 0) for path in PHOTOS], expects.size)
    assert len(dataset) == len(PHOTOS) >= 3
    served = TorchRuntime(bundle, threads=1)
    received: list[torch.Tensor] = []
    served.network.backbone.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    for index, path in enumerate(PHOTOS):
        trained_on, _ = dataset[index]
        photo = images.load(path.read_bytes(), expects.size)
        assert np.array_equal(trained_on.permute(1, 2, 0).numpy(), photo.pixels)
        served.run(photo.pixels[None])
        assert torch.allclose(received[-1], normalise(trained_on[None]), atol=1e-6)
