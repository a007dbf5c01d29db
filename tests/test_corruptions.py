from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plant_disease import training
from plant_disease.images import Pixels
from plant_disease.training.corruptions import CORRUPTIONS, STRENGTHS, corrupt, seed_of
from tests.samples import RUST

KINDS = sorted(CORRUPTIONS)
SEED = seed_of(RUST.read_bytes())


@pytest.fixture(scope="module")
def leaf() -> Pixels:
    return np.asarray(Image.open(RUST).convert("RGB").resize((224, 224)))


def distance(a: Pixels, b: Pixels) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_there_are_enough_of_them() -> None:
    assert len(KINDS) >= 8
    assert len(STRENGTHS) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_photo_is_always_spoilt_alike_and_never_touched(kind: str, leaf: Pixels) -> None:
    before = leaf.copy()
    first, again = (corrupt(leaf, kind, 2, SEED) for _ in range(2))
    assert (first == again).all()
    assert (leaf == before).all()
    assert first.dtype == np.uint8


@pytest.mark.parametrize("kind", KINDS)
def test_stronger_is_farther_from_the_original(kind: str, leaf: Pixels) -> None:
    distances = [distance(corrupt(leaf, kind, strength, SEED), leaf) for strength in STRENGTHS]
    assert distances[0] > 0.3
    assert distances == sorted(distances)
    assert len(set(distances)) == len(STRENGTHS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(96, 160, 3), (161, 97, 3), (32, 32, 3)])
def test_shape_and_type_are_kept(kind: str, shape: tuple[int, int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for strength in STRENGTHS:
        spoilt = corrupt(photo, kind, strength, 1)
        assert (spoilt.shape, spoilt.dtype) == (shape, np.uint8)


@pytest.mark.parametrize("kind", ["Gaussian noise", "motion blur", "colour cast", "fog", "shadow", "rotation"])
def test_photos_are_spoilt_each_in_its_own_way(kind: str, leaf: Pixels) -> None:
    assert len({corrupt(leaf, kind, 2, seed).tobytes() for seed in range(12)}) > 1


def test_a_seed_belongs_to_the_content() -> None:
    assert seed_of(b"one") == seed_of(b"one") != seed_of(b"two")


def test_nothing_trains_on_them() -> None:
    package = Path(training.__path__[0])
    users = [
        p.relative_to(package).as_posix() for p in package.rglob("*.py") if "training.corruptions" in p.read_text()
    ]
    assert users
    assert all(user.startswith("evaluation/") for user in users)
