"""Every kind of network is exported and served by both runtimes alike."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from plant_disease.architectures import ARCHITECTURES, build
from plant_disease.architectures.efficientnet_lite import load_imagenet
from plant_disease.manifest import ONNX_FILE, WEIGHTS_FILE, Input
from plant_disease.training.export import ExportError, check_parity, write_graph, write_manifest
from tests.bundles import CLASS_IDS, manifest

EXPECTS = Input(size=64, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


def network(architecture: str) -> torch.nn.Module:
    torch.manual_seed(0)
    built = build(architecture, len(CLASS_IDS))
    # Running statistics that differ from those of a fresh network, as after training.
    built.train()
    with torch.no_grad():
        built(torch.randn(8, 3, 64, 64))
    return built.eval()


@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "resnet18", "efficientnet_b2", "efficientnet_b4"])
def test_exported_and_served_alike(tmp_path: Path, architecture: str) -> None:
    folder = tmp_path / "1.0.0"
    folder.mkdir()
    built = network(architecture)
    write_graph(built, EXPECTS, folder / ONNX_FILE)
    save_file(built.state_dict(), folder / WEIGHTS_FILE)
    bundle = write_manifest(folder, manifest(architecture=architecture, input=EXPECTS))
    photos = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert check_parity(bundle, photos) < 1e-3


def test_an_export_that_does_not_compute_the_same_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "1.0.0"
    folder.mkdir()
    built = network("efficientnet_lite0")
    write_graph(built, EXPECTS, folder / ONNX_FILE)
    built.classifier.bias.data[0] += 0.01
    save_file(built.state_dict(), folder / WEIGHTS_FILE)
    bundle = write_manifest(folder, manifest(input=EXPECTS))
    with pytest.raises(ExportError, match="differ"):
        check_parity(bundle, np.zeros((1, 64, 64, 3), np.uint8))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_ends_in_pooling_and_one_linear_layer(architecture: str) -> None:
    built = build(architecture, 5).eval()
    with torch.inference_mode():
        logits, features = built(torch.randn(1, 3, 64, 64))
        assert torch.allclose(built.classifier(features.mean((2, 3))), logits, atol=1e-5)
    assert logits.shape == (1, 5)
    assert features.shape[2:] == (2, 2)


def test_an_architecture_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="resnet18"):
        build("vgg16", 5)


def test_imagenet_weights_fit_and_are_not_random() -> None:
    built = build("efficientnet_lite0", 5)
    before = [p.clone() for p in built.backbone.parameters()]
    load_imagenet(built.backbone)
    assert all(not torch.equal(a, b) for a, b in zip(before, built.backbone.parameters(), strict=True) if a.ndim == 4)
    with pytest.raises(ValueError, match="EfficientNet-Lite0"):
        load_imagenet(build("resnet18", 5).backbone)
