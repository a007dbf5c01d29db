"""From trained weights to a bundle that proves itself before it is written."""

import datetime
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, JsonValue, ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn

from plant_disease.architectures import Network, build
from plant_disease.bundle import Bundle, check_version, describe_file, open_bundle
from plant_disease.classifier import softmax
from plant_disease.cpu import available_cpus
from plant_disease.errors import PlantDiseaseError
from plant_disease.explanation.head import HEAD_FILE, write_head
from plant_disease.images import Pixels
from plant_disease.manifest import (
    MANIFEST_FILE,
    ONNX_FILE,
    ONNX_FP16_FILE,
    ONNX_INT8_FILE,
    WEIGHTS_FILE,
    Calibration,
    ClassInfo,
    Decision,
    File,
    Input,
    LeafGate,
    Manifest,
    Precision,
)
from plant_disease.runtimes import Output, PrecisionName, RuntimeName, open_runtime
from plant_disease.training.augment import Augment
from plant_disease.training.calibrate import Seen, fit_decision, fit_leaf_gate, fit_temperature
from plant_disease.training.data import TrainingSet, hard_views
from plant_disease.training.fit import MEAN, RUN_FILE, STD
from plant_disease.training.folders import Gathered, gather, pixels
from plant_disease.training.metrics import expected_calibration_error, top_k_accuracy
from plant_disease.training.quantise import halve, largest_activation, quantise
from plant_disease.training.recipe import Recipe

PARITY = 1e-3
"""Largest difference between the logits of the two runtimes that an export accepts."""

COARSER_LOSS = 0.003
"""Share of the photos kept back that int8 and fp16 may get wrong beyond those that float32 does."""

COARSER_AGREEMENT = 0.99
"""Share of the photos kept back on which they must name the same class as float32."""

FP16_RANGE = 65_504 / 4
"""Largest value that a layer may have on the photos kept back for fp16 to be made of it: float16 ends at 65,504."""

_PARITY_PHOTOS = 32
_CALIBRATION_PHOTOS = 256
_BATCH = 16


class ExportError(PlantDiseaseError):
    """The exported graph does not compute what the network computes."""


def export(run: Path, data: Path, models: Path, version: str, *, name: str) -> Bundle:
    """Export a training run as `models/<version>`, calibrated on the photos that the run kept back.

    The folder appears whole or not at all, and only after both runtimes gave the same logits for real photos. The
    int8 graph is in it, and served on CPUs, where it is as good as the float32 one (COARSER_LOSS, COARSER_AGREEMENT);
    likewise the fp16 graph, for GPUs, if no layer leaves FP16_RANGE.

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
    holdout = _Holdout(photos, draft.input.size)
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".export-") as folder:
        staged = Path(folder) / version
        staged.mkdir()
        write_graph(network, draft.input, staged / ONNX_FILE)
        (staged / WEIGHTS_FILE).write_bytes((run / WEIGHTS_FILE).read_bytes())
        write_head(staged / WEIGHTS_FILE, staged / HEAD_FILE)
        bundle = write_manifest(staged, draft)
        check_parity(bundle, _spread(holdout.leaves, _PARITY_PHOTOS))
        bundle, comparisons = _with_coarser(staged, bundle, holdout)
        manifest = _calibrated(bundle, holdout)
        metrics = {**manifest.metrics, **comparisons, "training": _training_notes(recipe, photos)}
        write_manifest(staged, manifest.model_copy(update={"metrics": metrics}))
        for file in staged.iterdir():
            file.chmod(0o644)  # safetensors writes files that only their owner can read
        staged.replace(target)
    return open_bundle(str(models), version=version)


class _Run(BaseModel):
    """What `fit` notes in training.json."""

    classes: list[str]
    recipe: Recipe


def _read_run(run: Path) -> _Run:
    try:
        return _Run.model_validate_json((run / RUN_FILE).read_text())
    except (OSError, ValidationError) as error:
        raise ExportError(f"{run} is no folder that plant-disease train wrote: {RUN_FILE} cannot be read.") from error


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
    onnx, torch_ = _outputs(bundle, "fp32", photos), _outputs(bundle, "fp32", photos, "torch")
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


class _Holdout:
    """The photos that were kept back, as served and made hard; uint8 (N, size, size, 3) each."""

    def __init__(self, photos: Gathered, size: int) -> None:
        augment = Augment(size, [pixels(scene, TrainingSet.decode_size) for scene in photos.scenes])
        scenes = [*photos.kept_back_scenes, *photos.scenes]
        self.leaves = np.stack([pixels(example, size) for example in photos.kept_back])
        self.labels = np.array([example.label for example in photos.kept_back])
        self.hard_leaves = hard_views(photos.kept_back, augment, seed=0)
        plain_scenes = np.stack([pixels(example, size) for example in scenes])
        self.non_leaves = np.concatenate([plain_scenes, *(hard_views(scenes, augment, seed) for seed in range(3))])


def _with_coarser(staged: Path, bundle: Bundle, holdout: _Holdout) -> tuple[Bundle, dict[str, JsonValue]]:
    """Add the int8 and the fp16 graph, each if it is as good, and serve int8; with how they compare."""
    some = _spread(holdout.leaves, _CALIBRATION_PHOTOS)
    quantise(staged / ONNX_FILE, staged / ONNX_INT8_FILE, some)
    coarser: dict[Precision, str] = {"int8": ONNX_INT8_FILE}
    if largest_activation(staged / ONNX_FILE, some) <= FP16_RANGE:
        halve(staged / ONNX_FILE, staged / ONNX_FP16_FILE)
        coarser["fp16"] = ONNX_FP16_FILE
    everything = write_manifest(staged, bundle.manifest)
    exact = _outputs(everything, "fp32", holdout.leaves).logits.argmax(axis=1)
    comparisons: dict[str, JsonValue] = {}
    for precision, file in coarser.items():
        coarse = _outputs(everything, precision, holdout.leaves).logits.argmax(axis=1)
        loss = float((exact == holdout.labels).mean() - (coarse == holdout.labels).mean())
        agreement = float((exact == coarse).mean())
        comparisons[precision] = {
            "photos": len(exact),
            "top_1_lost": round(loss, 4),
            "agreement": round(agreement, 4),
        }
        if loss > COARSER_LOSS or agreement < COARSER_AGREEMENT:
            (staged / file).unlink()
    served = "int8" if (staged / ONNX_INT8_FILE).exists() else "fp32"
    return write_manifest(staged, bundle.manifest.model_copy(update={"precision": served})), comparisons


def _calibrated(bundle: Bundle, holdout: _Holdout) -> Manifest:
    """The manifest with temperature, gate and threshold, all from what the served graph gives."""
    labels = holdout.labels
    leaves, hard, others = (
        Seen.of(_outputs(bundle, "auto", photos))
        for photos in (holdout.leaves, holdout.hard_leaves, holdout.non_leaves)
    )
    calibration = fit_temperature(leaves.logits, labels)
    plain, probabilities = softmax(leaves.logits), softmax(leaves.logits / calibration.temperature)
    hard_probabilities = softmax(hard.logits / calibration.temperature)
    decision = fit_decision((probabilities, labels), (hard_probabilities, labels))
    gate = fit_leaf_gate(Seen(*map(np.concatenate, zip(leaves, hard, strict=True))), others)
    metrics: dict[str, JsonValue] = {
        "photos": len(labels),
        "top_1": round(top_k_accuracy(probabilities, labels, 1), 4),
        "top_3": round(top_k_accuracy(probabilities, labels, 3), 4),
        "top_1_made_hard": round(top_k_accuracy(hard_probabilities, labels, 1), 4),
        "ece_before": round(expected_calibration_error(plain, labels), 4),
        "ece_after": round(expected_calibration_error(probabilities, labels), 4),
    }
    return bundle.manifest.model_copy(
        update={
            "calibration": calibration,
            "leaf_gate": gate,
            "decision": decision,
            "metrics": {"holdout": metrics},
        }
    )


def _training_notes(recipe: Recipe, photos: Gathered) -> JsonValue:
    """What the model was trained on, for the card."""

    def licence(index: int) -> str:
        return "; ".join(f"{name} ({count} photos)" for name, count in sorted(photos.licences[index].items()))

    return {
        "sources": [
            {
                "path": source.path,
                "origin": source.origin,
                "licence": licence(index),
                "photos": sum(photos.licences[index].values()),
            }
            for index, source in enumerate(recipe.data.sources)
        ],
        "non_leaves": {
            "path": recipe.data.non_leaves,
            "licence": licence(-1),
            "photos": sum(photos.licences[-1].values()),
        },
        "split": f"{recipe.data.holdout:.0%} of each source kept back for calibration, by blocks of camera numbers",
        "recipe": recipe.model_dump(mode="json"),
    }


def _spread(photos: Pixels, most: int) -> Pixels:
    """At most so many of the photos, evenly spread."""
    return photos[:: max(1, -(-len(photos) // most))]


def _outputs(bundle: Bundle, precision: PrecisionName, photos: Pixels, runtime: RuntimeName = "onnx") -> Output:
    loaded = open_runtime(runtime, bundle, threads=available_cpus(), precision=precision)
    parts = [loaded.run(photos[i : i + _BATCH]) for i in range(0, len(photos), _BATCH)]
    return Output(np.concatenate([p.logits for p in parts]), np.concatenate([p.features for p in parts]))
