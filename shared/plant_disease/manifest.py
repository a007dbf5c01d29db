"""What a model bundle says about itself: `manifest.json`, and the channel that points to it."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveFloat, StringConstraints, model_validator

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Precision = Literal["fp32", "fp16", "int8"]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]

CHANNEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"

ONNX_FILE = "model.onnx"
ONNX_FP16_FILE = "model.fp16.onnx"
ONNX_INT8_FILE = "model.int8.onnx"
WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "MODEL_CARD.md"
MANIFEST_FILE = "manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ClassInfo(_Part):
    """One thing that the model can answer."""

    class_id: str = Field(min_length=1)
    crop: str = Field(min_length=1)
    disease: str = Field(min_length=1, description='"healthy" for the healthy class')
    healthy: bool

    @classmethod
    def from_id(cls, class_id: str) -> Self:
        """Read a PlantVillage class name: `Corn_(maize)___Common_rust_` is Common rust of Corn (maize)."""
        crop, _, disease = class_id.partition("___")
        crop, disease = (part.replace("_", " ").strip() for part in (crop, disease or "unknown"))
        return cls(class_id=class_id, crop=crop, disease=disease, healthy=disease.casefold() == "healthy")

    def is_of(self, crop: str) -> bool:
        """Whether a person's word for a crop means this one: "corn", "maize" and "Corn (maize)" all do."""
        names = {self.crop, *re.split(r"[(),]", self.crop)}
        if "," in self.crop:
            names.add(" ".join(reversed(self.crop.split(","))))
        return _folded(crop) in {_folded(name) for name in names if name.strip()}


class Input(_Part):
    """What the network expects: RGB, `size` x `size` px, (pixel / 255 - mean) / std.

    The ONNX graph takes uint8 (N, size, size, 3) and normalises inside.
    """

    size: int = Field(ge=32, le=1024)
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class Calibration(_Part):
    """Temperature scaling (Guo et al., ICML 2017, arXiv:1706.04599): softmax(logits / temperature)."""

    temperature: float = Field(gt=0)


class LeafGate(_Part):
    """Is there a leaf at all: sigmoid(slope * evidence + weights @ pooled + offset).

    With `classifier.evidence` of the logits and the pooled feature map: a logistic regression on what the network sees.
    """

    slope: float
    weights: tuple[float, ...] = Field((), description="one for each channel of the feature map; none: evidence alone")
    offset: float
    threshold: float = Field(gt=0, lt=1)


class Decision(_Part):
    """When a diagnosis is given rather than a doubt."""

    diagnosed_from: float = Field(gt=0, lt=1, description="least calibrated probability of the top class")


class File(_Part):
    """One file of the bundle as it must be found."""

    sha256: Sha256
    size: int = Field(gt=0)


class Manifest(_Part):
    """`manifest.json`, the root of trust of a bundle: every other file is checked against it."""

    schema_version: int = Field(1, ge=1, le=1)
    name: str = Field(min_length=1)
    version: Version
    created: str
    architecture: str
    input: Input
    classes: tuple[ClassInfo, ...] = Field(min_length=2)
    calibration: Calibration
    leaf_gate: LeafGate
    decision: Decision
    precision: Literal["fp32", "int8"] = Field(
        "fp32", description="of the graph that is served on CPUs unless another is asked for"
    )
    metrics: dict[str, JsonValue] = {}
    files: dict[FileName, File]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [info.class_id for info in self.classes]
        if len(set(ids)) != len(ids):
            raise ValueError("class_id must be unique")
        if ONNX_FILE not in self.files:
            raise ValueError(f"files must name {ONNX_FILE}")
        if self.precision == "int8" and ONNX_INT8_FILE not in self.files:
            raise ValueError(f"files must name {ONNX_INT8_FILE}, which is served")
        return self


class Pointer(_Part):
    """A version, and that it is this one and no other."""

    version: Version
    manifest_sha256: Sha256


class Channel(Pointer):
    """`channels/<name>.json`: the version that a channel serves now, and those it served before, latest first."""

    previous: tuple[Pointer, ...] = ()


def _folded(name: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", name.casefold().replace("_", " ")).split())
