"""A training run in one readable TOML file."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plant_disease.errors import PlantDiseaseError


class RecipeError(PlantDiseaseError):
    """The recipe, or the data it names, cannot be used."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Table):
    """A folder with one subfolder of photos for each class."""

    path: str = Field(description="relative to the data folder given on the command line")
    origin: str = Field("not stated", description="where the photos come from, for the model card")
    licence: str = Field("none stated", description="of photos that the data folder's MANIFEST.tsv does not list")
    repeat: int = Field(1, ge=1, description="how often each photo is seen in an epoch")
    swap_background: bool = Field(
        False,
        description="leaves lie alone on plain paper, so the background can be replaced; by the photos, blurred, of "
        "sources where it is false, among others",
    )
    absent_crops: float = Field(
        1.0,
        gt=0,
        le=1,
        description="prior of the crops of which this source has no photo; low keeps its scenery from becoming a sign "
        "of the crops that it has (see loss.Loss)",
    )


class Data(_Table):
    """Which photos are trained on, and which share is kept back."""

    sources: list[Source] = Field(min_length=1)
    non_leaves: str = Field(
        description="a flat folder of pictures without a leaf: backgrounds, and to fit the leaf gate"
    )
    holdout: float = Field(0.08, gt=0, lt=0.5, description="share of the photos kept back to fit calibration and gate")
    without_licences: list[str] = Field(
        [], description='leave out photos whose licence starts with one of these, for example "none stated"'
    )


class Model(_Table):
    """What is trained."""

    architecture: str = "efficientnet_lite0"
    input_size: int = Field(224, ge=64, multiple_of=32, description="side in px that the exported model is served at")
    pretrained: bool = Field(True, description="start from ImageNet weights (efficientnet_lite0 only)")
    frozen: int = Field(
        0,
        ge=0,
        description="how many leading parts of the backbone keep the weights that they start with: twice as quick, "
        "and general features stay general",
    )

    @model_validator(mode="after")
    def _weights_exist(self) -> "Model":
        if self.frozen and not self.pretrained:
            raise ValueError("frozen parts must be pretrained; set frozen = 0")
        if self.pretrained and self.architecture != "efficientnet_lite0":
            raise ValueError("ImageNet weights are only at hand for efficientnet_lite0; set pretrained = false")
        return self


class Stage(_Table):
    """Some epochs at one resolution: small first, which is quick, larger at the end."""

    input_size: int = Field(ge=64, multiple_of=32)
    epochs: int = Field(ge=1)


class Optimisation(_Table):
    """AdamW under one cosine cycle over all stages."""

    stages: list[Stage] = Field(min_length=1)
    batch_size: int = Field(48, ge=2)
    learning_rate: float = Field(1.5e-3, gt=0, description="peak of the cycle")
    weight_decay: float = Field(0.02, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    average: float = Field(
        0.99, ge=0, lt=1, description="decay of the running average of the weights, which is what is kept; 0: the last"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after so many epochs without a smaller loss on the holdout; unset: never"
    )
    seed: int = 0


class Recipe(_Table):
    """The whole file."""

    data: Data
    model: Model
    optimisation: Optimisation


def read_recipe(path: Path) -> Recipe:
    """Read and validate a recipe.

    Raises:
        RecipeError: no such file, no TOML, or a field that is wrong; the message names each.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text()))
    except FileNotFoundError as error:
        raise RecipeError(f"There is no recipe at {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RecipeError(f"{path}: {faults}") from error
