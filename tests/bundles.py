"""Small model bundles for tests that do not run the network."""

import json
from pathlib import Path

from plant_disease.bundle import describe_file
from plant_disease.manifest import Calibration, Channel, ClassInfo, Decision, Input, LeafGate, Manifest

CLASS_IDS = (
    "Apple___Apple_scab",
    "Apple___healthy",
    "Corn_(maize)___Common_rust_",
    "Pepper,_bell___healthy",
    "Tomato___Late_blight",
    "Tomato___healthy",
)


def manifest(version: str = "1.0.0", **changes: object) -> Manifest:
    """A valid manifest with six classes; its files are placeholders."""
    fields: dict[str, object] = {
        "name": "test",
        "version": version,
        "created": "2026-01-01T00:00:00+00:00",
        "architecture": "efficientnet_lite0",
        "input": Input(size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        "classes": tuple(ClassInfo.from_id(class_id) for class_id in CLASS_IDS),
        "calibration": Calibration(temperature=1.0),
        "leaf_gate": LeafGate(slope=2.0, offset=-6.0, threshold=0.5),
        "decision": Decision(diagnosed_from=0.6),
        "files": {"model.onnx": {"sha256": "0" * 64, "size": 1}},
        **changes,
    }
    return Manifest.model_validate(fields)


def write_bundle(models: Path, version: str = "1.0.0", files: dict[str, bytes] | None = None) -> Path:
    """Write a version whose files hold arbitrary bytes, and let the channel `stable` serve it."""
    folder = models / version
    folder.mkdir(parents=True)
    contents = files or {"model.onnx": b"graph " * 5000, "weights.safetensors": b"weights " * 3000}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    complete = manifest(version).model_copy(update={"files": {name: describe_file(folder / name) for name in contents}})
    (folder / "manifest.json").write_text(complete.model_dump_json())
    point_channel(models, version)
    return folder


def point_channel(models: Path, version: str, channel: str = "stable") -> None:
    """Let a channel serve a version."""
    target = models / "channels" / f"{channel}.json"
    target.parent.mkdir(exist_ok=True)
    sha256 = describe_file(models / version / "manifest.json").sha256
    target.write_text(json.dumps(Channel(version=version, manifest_sha256=sha256).model_dump()))
