"""From trained weights to a bundle that proves itself before it is written."""

import datetime
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, JsonValue, ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn

from plant_disease.architectures import Network, build
from plant_disease.bundle import Bundle, check_version, describe_file, open_bundle
from plant_disease.classifier import evidence, softmax
from plant_disease.cpu import available_cpus
from plant_disease.errors import PlantDiseaseError
from plant_disease.manifest import (
    CARD_FILE,
    CHANNEL_PATTERN,
    MANIFEST_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
    Calibration,
    Channel,
    ClassInfo,
    Decision,
    File,
    Input,
    LeafGate,
    Manifest,
)
from plant_disease.runtimes import Output, open_runtime
from plant_disease.training.calibrate import fit_decision, fit_leaf_gate, fit_temperature
from plant_disease.training.fit import MEAN, STD
from plant_disease.training.folders import Example, gather, pixels
from plant_disease.training.metrics import auroc, expected_calibration_error, top_k_accuracy
from plant_disease.training.recipe import Recipe

PARITY = 1e-3
"""Largest difference between the logits of the two runtimes that an export accepts."""

_PARITY_PHOTOS = 32
_BATCH = 16


class ExportError(PlantDiseaseError):
    """The exported graph does not compute what the network computes."""


def export(run: Path, data: Path, models: Path, version: str, *, name: str) -> Bundle:
    """Export a training run as `models/<version>`, calibrated on the photos that the run kept back.

    The folder appears whole or not at all, and only after both runtimes gave the same logits for real photos.

    Raises:
        ExportError: the run cannot be read, the version exists already, or the runtimes disagree.
        BundleError: the version has characters that no version has.
        RecipeError: see `folders.gather`.
    """
    check_version(version)
    target = models / version
    if target.exists():
        raise ExportError(f"{target} exists already; a version never changes. Choose another one.")
    training = _read_run(run)
    recipe = training.recipe
    photos = gather(recipe, data)
    if photos.classes != training.classes:
        raise ExportError(f"The classes in {data} are not those that {run} was trained on.")
    parity = photos.kept_back[:: max(1, len(photos.kept_back) // _PARITY_PHOTOS)]
    network = build(recipe.model.architecture, len(training.classes))
    network.load_state_dict(load_file(run / WEIGHTS_FILE))
    draft = Manifest(
        name=name,
        version=version,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        architecture=recipe.model.architecture,
        input=Input(size=recipe.model.input_size, mean=MEAN, std=STD),
        classes=tuple(ClassInfo.from_id(class_id) for class_id in training.classes),
        calibration=Calibration(temperature=1),
        leaf_gate=LeafGate(slope=1, offset=0, threshold=0.5),
        decision=Decision(diagnosed_from=0.99),
        files={ONNX_FILE: File(sha256="0" * 64, size=1)},
    )
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".export-") as folder:
        staged = Path(folder) / version
        staged.mkdir()
        write_graph(network, draft.input, staged / ONNX_FILE)
        (staged / WEIGHTS_FILE).write_bytes((run / WEIGHTS_FILE).read_bytes())
        bundle = write_manifest(staged, draft)
        check_parity(bundle, _pixels(parity, draft.input.size))
        manifest = _calibrated(bundle, photos.kept_back, photos.kept_back_scenes)
        (staged / CARD_FILE).write_text(_card(manifest, recipe))
        write_manifest(staged, manifest)
        staged.replace(target)
    return open_bundle(str(models), version=version)


class _Run(BaseModel):
    """What `fit` notes in training.json."""

    classes: list[str]
    recipe: Recipe


def _read_run(run: Path) -> _Run:
    try:
        return _Run.model_validate_json((run / "training.json").read_text())
    except (OSError, ValidationError) as error:
        raise ExportError(
            f"{run} is no folder that plant-disease train wrote: training.json cannot be read."
        ) from error


def point_channel(models: Path, channel: str, bundle: Bundle) -> None:
    """Let a channel of a local model folder serve this version.

    Raises:
        ExportError: the channel has characters that no channel has.
    """
    if not re.fullmatch(CHANNEL_PATTERN, channel):
        raise ExportError(f"{channel!r} cannot name a channel: letters, digits, '_' and '-'.")
    path = models / "channels" / f"{channel}.json"
    path.parent.mkdir(exist_ok=True)
    pointer = Channel(version=bundle.manifest.version, manifest_sha256=bundle.sha256)
    partial = path.with_suffix(".partial")
    partial.write_text(pointer.model_dump_json(indent=2) + "\n")
    partial.replace(path)


def write_graph(network: Network, expects: Input, path: Path) -> None:
    """Write the ONNX graph: uint8 (N, size, size, 3) `image` -> `logits`, `features`."""
    served = _Served(network.eval(), expects)
    example = torch.zeros(2, expects.size, expects.size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter deprecates its own internals
        torch.onnx.export(
            served,
            (example,),
            str(path),
            input_names=["image"],
            output_names=["logits", "features"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def write_manifest(folder: Path, manifest: Manifest) -> Bundle:
    """Write `manifest.json` for the files that lie in a version's folder, and open the bundle."""
    names = sorted(p.name for p in folder.iterdir() if p.name != MANIFEST_FILE)
    complete = manifest.model_copy(update={"files": {name: describe_file(folder / name) for name in names}})
    (folder / MANIFEST_FILE).write_text(complete.model_dump_json(indent=1) + "\n")
    return open_bundle(str(folder.parent), version=manifest.version, cache=folder.parent / ".cache")


def check_parity(bundle: Bundle, photos: np.ndarray) -> float:
    """The largest difference between the logits of the two runtimes over uint8 photos (N, size, size, 3).

    Raises:
        ExportError: it is above PARITY.
    """
    onnx, torch_ = (_outputs(bundle, name, photos) for name in ("onnx", "torch"))
    difference = float(np.abs(onnx.logits - torch_.logits).max())
    if not difference <= PARITY:
        raise ExportError(f"The logits of the ONNX graph differ from torch's by {difference:.2e} (at most {PARITY}).")
    return difference


class _Served(nn.Module):
    """The network behind the layout and normalisation of served photos."""

    def __init__(self, network: Network, expects: Input) -> None:
        super().__init__()
        self.network = network
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", 1 / (255 * torch.tensor(expects.std).view(1, 3, 1, 1)))
        self.register_buffer(
            "shift", -torch.tensor(expects.mean).view(1, 3, 1, 1) / torch.tensor(expects.std).view(1, 3, 1, 1)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = self.network(image.permute(0, 3, 1, 2).float() * self.scale + self.shift)
        return logits, features


def _calibrated(bundle: Bundle, kept_back: list[Example], scenes: list[Example]) -> Manifest:
    size = bundle.manifest.input.size
    logits = _outputs(bundle, "onnx", _pixels(kept_back, size)).logits
    other = _outputs(bundle, "onnx", _pixels(scenes, size)).logits
    labels = np.array([example.label for example in kept_back])
    calibration = fit_temperature(logits, labels)
    plain, probabilities = softmax(logits), softmax(logits / calibration.temperature)
    decision = fit_decision(probabilities, labels)
    diagnosed, correct = probabilities.max(axis=1) >= decision.diagnosed_from, probabilities.argmax(axis=1) == labels
    metrics: dict[str, JsonValue] = {
        "photos": len(kept_back),
        "top_1": round(top_k_accuracy(probabilities, labels, 1), 4),
        "top_3": round(top_k_accuracy(probabilities, labels, 3), 4),
        "ece_before": round(expected_calibration_error(plain, labels), 4),
        "ece_after": round(expected_calibration_error(probabilities, labels), 4),
        "diagnosed": round(float(diagnosed.mean()), 4),
        "diagnosed_right": round(float(correct[diagnosed].mean()), 4) if diagnosed.any() else None,
        "leaf_gate_auroc": round(auroc(evidence(logits), evidence(other)), 4),
    }
    return bundle.manifest.model_copy(
        update={
            "calibration": calibration,
            "leaf_gate": fit_leaf_gate(logits, other),
            "decision": decision,
            "metrics": {"holdout": metrics},
        }
    )


def _pixels(examples: list[Example], size: int) -> np.ndarray:
    return np.stack([pixels(example, size) for example in examples])


def _outputs(bundle: Bundle, runtime: str, photos: np.ndarray) -> Output:
    loaded = open_runtime("torch" if runtime == "torch" else "onnx", bundle, threads=available_cpus())
    parts = [loaded.run(photos[i : i + _BATCH]) for i in range(0, len(photos), _BATCH)]
    return Output(np.concatenate([p.logits for p in parts]), np.concatenate([p.features for p in parts]))


def _card(manifest: Manifest, recipe: Recipe) -> str:
    measured: Mapping[str, JsonValue] = manifest.metrics["holdout"]  # type: ignore[assignment]
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        f"{manifest.architecture}, {len(manifest.classes)} classes of {len({c.crop for c in manifest.classes})} crops, "
        f"input {manifest.input.size} x {manifest.input.size} px.",
        "",
        "## Photos it was trained on",
        "",
        *(f"- `{source.path}`: {source.origin}" for source in recipe.data.sources),
        "",
        "## Photos kept back from training, through ONNX Runtime",
        "",
        "| measure | value |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in measured.items()),
        "",
        "They come from the same series of photos as the training photos, so these figures are optimistic.",
        "Run `plant-disease evaluate` on photos of your own before you rely on the answers.",
    ]
    return "\n".join(lines) + "\n"
