"""Heatmaps from gradients, and the closed form held against them and against other people's code."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import save

from plant_disease import images
from plant_disease.architectures import ARCHITECTURES, Network, build
from plant_disease.architectures._torchvision import torchvision
from plant_disease.bundle import Bundle, open_bundle
from plant_disease.classifier import Classifier
from plant_disease.errors import InvalidQuestion
from plant_disease.explanation.cam import class_activation, heat
from plant_disease.explanation.explainer import Explainer, Method, Question
from plant_disease.explanation.gradients import METHODS, GradientMaps
from plant_disease.explanation.head import read_head
from plant_disease.images import Pixels
from plant_disease.manifest import WEIGHTS_FILE
from plant_disease.runtimes import Floats, open_runtime
from plant_disease.runtimes.torch import TorchRuntime
from plant_disease.settings import bundled_models
from tests.bundles import CLASS_IDS, write_bundle
from tests.samples import LEAVES, RUST

torchvision()  # before the package imports it by itself, and fails where torch has no CUDA

from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM  # noqa: E402
from pytorch_grad_cam.utils.image import scale_cam_image  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: E402

PACKAGE = {"gradcam": GradCAM, "gradcam++": GradCAMPlusPlus, "layercam": LayerCAM, "hirescam": HiResCAM}
PHOTOS = list(LEAVES)[:24]
CLOSE = 1e-4
STAGE = "backbone.stage5"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(bundled_models(), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def runtime(bundle: Bundle) -> TorchRuntime:
    return TorchRuntime(bundle, threads=1)


@pytest.fixture(scope="module")
def maps(runtime: TorchRuntime) -> GradientMaps:
    return GradientMaps(runtime)


@pytest.fixture(scope="module")
def classifier(bundle: Bundle) -> Classifier:
    """In float32, as torch computes."""
    return Classifier(bundle, open_runtime("onnx", bundle, threads=1, precision="fp32"))


def pixels_of(path: Path) -> Pixels:
    return images.load(path.read_bytes(), 224).pixels


def one_hot(classes: int, index: int) -> Floats:
    return np.eye(classes, dtype=np.float32)[index]


class Logits(torch.nn.Module):
    """What the package can explain: a network with a single output."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(batch)[0]
        return logits


def by_the_package(method: str, network: Network, batch: torch.Tensor, layer: torch.nn.Module, target: int) -> Floats:
    """A heatmap over the whole photo by pytorch-grad-cam."""
    with PACKAGE[method](Logits(network), [layer]) as explain:
        heatmap: Floats = explain(batch.clone().requires_grad_(), [ClassifierOutputTarget(target)])[0]
    return heatmap


def as_the_package_shows(grid: Floats, size: int) -> Floats:
    # It stretches to the full range before and after it enlarges.
    enlarged = scale_cam_image(np.maximum(grid, 0)[None], (size, size))
    shown: Floats = scale_cam_image(enlarged)[0]
    return shown


def by_autograd(network: Network, batch: torch.Tensor, target: int) -> Floats:
    """Grad-CAM on the last feature map as the paper has it: with hooks and gradients."""
    seen = []
    with torch.enable_grad():
        hook = network.backbone.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        logits, _ = network(batch.clone().requires_grad_())
        hook.remove()
        (gradients,) = torch.autograd.grad(logits[0, target], seen[0])
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    grid: Floats = (weights * seen[0]).sum(dim=1)[0].detach().numpy()
    return grid


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem[:12])
def test_the_closed_form_from_onnx_is_grad_cam(
    bundle: Bundle, classifier: Classifier, runtime: TorchRuntime, path: Path
) -> None:
    pixels = pixels_of(path)
    logits, features = classifier.run([images.load(path.read_bytes(), 224)])
    batch = runtime.normalised(pixels[None])
    target = int(logits[0].argmax())
    grid = class_activation(features[0], read_head(bundle).weight[target])
    assert np.abs(heat(grid) - heat(by_autograd(runtime.network, batch, target))).max() < CLOSE
    theirs = by_the_package("gradcam", runtime.network, batch, runtime.network.backbone, target)
    assert np.abs(as_the_package_shows(grid, 224) - theirs).max() < CLOSE


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_closed_form_is_grad_cam_in_every_architecture(architecture: str) -> None:
    torch.manual_seed(0)
    network = build(architecture, 5).eval()
    batch = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        _, features = network(batch)
    for target in (0, 3):
        weights = network.classifier.weight[target].detach().numpy()
        grid = class_activation(features[0].numpy(), weights)
        assert grid.shape == (4, 4)
        assert np.abs(heat(grid) - heat(by_autograd(network, batch, target))).max() < CLOSE
        theirs = by_the_package("gradcam", network, batch, network.backbone, target)
        assert np.abs(as_the_package_shows(grid, 128) - theirs).max() < CLOSE


@pytest.mark.parametrize("layer", ["backbone", STAGE, "backbone.stage3.0.layers.0", "backbone.stem"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_at_every_depth_as_the_package_has_it(
    runtime: TorchRuntime, maps: GradientMaps, method: str, layer: str
) -> None:
    pixels = pixels_of(RUST)
    target = 2
    grid = maps.compute(method, pixels, one_hot(34, target), layer)
    module = runtime.network.get_submodule(layer)
    # The package cannot see what a later activation overwrites.
    for each in runtime.network.modules():
        if isinstance(each, torch.nn.ReLU6):
            each.inplace = False
    theirs = by_the_package(method, runtime.network, runtime.normalised(pixels[None]), module, target)
    assert np.abs(as_the_package_shows(grid, 224) - theirs).max() < 1e-3


def test_every_method_can_be_asked_for() -> None:
    assert ("cam", *METHODS) == get_args(Method)


def test_the_last_layer_is_the_default(maps: GradientMaps, bundle: Bundle, classifier: Classifier) -> None:
    pixels = pixels_of(RUST)
    weights = one_hot(34, 3) - one_hot(34, 4)
    features = classifier.run([images.load(RUST.read_bytes(), 224)]).features
    closed = class_activation(features[0], weights @ read_head(bundle).weight)
    for method in ("gradcam", "hirescam"):
        assert np.abs(heat(closed) - heat(maps.compute(method, pixels, weights))).max() < CLOSE


@pytest.mark.parametrize("layer", ["head", "backbone.stage9", "classifier", "backbone.stem.1.weight", "x" * 5000])
def test_a_layer_that_is_not_there_is_named(maps: GradientMaps, layer: str) -> None:
    with pytest.raises(InvalidQuestion, match=r"backbone\.stage1"):
        maps.compute("gradcam", pixels_of(RUST), one_hot(34, 0), layer)


def hooks(runtime: TorchRuntime) -> int:
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in runtime.network.modules())


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())


def test_nothing_is_left_behind(runtime: TorchRuntime, maps: GradientMaps) -> None:
    pixels = pixels_of(RUST)
    maps.compute("gradcam", pixels, one_hot(34, 0), STAGE)
    before = tensors()
    for number in range(20):
        maps.compute(list(METHODS)[number % 4], pixels, one_hot(34, number), STAGE)
    assert tensors() == before
    assert hooks(runtime) == 0
    assert all(parameter.grad is None for parameter in runtime.network.parameters())


@pytest.fixture
def broken(runtime: TorchRuntime) -> Iterator[None]:
    """A network that fails half-way."""

    def fail(*_: object) -> None:
        raise RuntimeError("half-way")

    hook = runtime.network.backbone.head.register_forward_hook(fail)  # type: ignore[union-attr,operator]
    yield
    hook.remove()


def test_hooks_go_also_when_something_fails(runtime: TorchRuntime, maps: GradientMaps, broken: None) -> None:
    before = hooks(runtime)
    with pytest.raises(RuntimeError, match="half-way"):
        maps.compute("gradcam", pixels_of(RUST), one_hot(34, 0), STAGE)
    assert hooks(runtime) == before


def test_a_layer_whose_output_is_no_map(tmp_path: Path) -> None:
    # EfficientNet's squeeze-and-excitation averages over the whole map.
    network = build("efficientnet_b0", len(CLASS_IDS))
    weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    folder = write_bundle(tmp_path / "models", files={"model.onnx": b"graph", WEIGHTS_FILE: weights})
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace("efficientnet_lite0", "efficientnet_b0"))
    bundle = open_bundle(str(tmp_path / "models"), version="1.0.0", cache=tmp_path / "cache")
    maps = GradientMaps(TorchRuntime(bundle, threads=1))
    with pytest.raises(InvalidQuestion, match="no map"):
        maps.compute("gradcam", pixels_of(RUST), one_hot(len(CLASS_IDS), 0), "backbone.1.0.block.1.avgpool")


def test_those_who_ask_at_once_do_not_disturb_each_other(classifier: Classifier, bundle: Bundle) -> None:
    explainer = Explainer(bundle, threads=1)
    photos = [images.load(path.read_bytes(), 224) for path in PHOTOS[:3]]
    questions = [Question(method="gradcam", layer=STAGE), Question(method="layercam"), Question()]

    def ask(number: int) -> object:
        photo = photos[number % 3]
        output = classifier.run([photo])
        explained = explainer.explain(classifier, [photo], output, classifier.conclude(output), questions[number % 3])
        assert explained.heatmap is not None
        return explained.heatmap.grid

    expected = [ask(number) for number in range(3)]
    answers: dict[int, object] = {}
    threads = [threading.Thread(target=lambda n=n: answers.update({n: ask(n)})) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(12):
        assert np.allclose(answers[number], expected[number % 3], rtol=1e-3, atol=1e-5)  # type: ignore[arg-type]
