"""Heatmaps in closed form, what is drawn from them, and how far they can be believed."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save

from plant_disease import images
from plant_disease.bundle import Bundle, open_bundle
from plant_disease.classifier import Classifier
from plant_disease.errors import BundleError, InvalidQuestion
from plant_disease.explanation.cam import class_activation, heat
from plant_disease.explanation.colormaps import ColormapName, palette
from plant_disease.explanation.explainer import FINEST_GRID, Explainer, Explanation, Question, _numbers
from plant_disease.explanation.faithfulness import blurred, measure
from plant_disease.explanation.head import HEAD_FILE, read_head, write_head
from plant_disease.explanation.overlay import LONGEST_SIDE, PictureKind, Style, draw
from plant_disease.explanation.regions import connected, hot_boxes
from plant_disease.images import Photo, Pixels
from plant_disease.manifest import WEIGHTS_FILE
from plant_disease.runtimes import Floats, Runtime, open_runtime
from plant_disease.settings import bundled_models
from tests.bundles import manifest, write_bundle
from tests.samples import LEAVES, NOT_LEAVES, RUST, RUST_CLASS

SCAB_CLASS = "Apple___Apple_scab"
PHOTOS = list(LEAVES)[:24]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(bundled_models(), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def classifier(bundle: Bundle) -> Classifier:
    return Classifier(bundle, open_runtime("onnx", bundle, threads=1))


@pytest.fixture(scope="module")
def exact(bundle: Bundle) -> Runtime:
    """In float32, whatever is served."""
    return open_runtime("onnx", bundle, threads=1, precision="fp32")


@pytest.fixture(scope="module")
def explainer(bundle: Bundle) -> Explainer:
    return Explainer(bundle, threads=1)


def loaded(path: Path) -> Photo:
    return images.load(path.read_bytes(), 224)


def explain(classifier: Classifier, explainer: Explainer, *paths: Path, **question: object) -> Explanation:
    photos = [loaded(path) for path in paths]
    output = classifier.run(photos)
    return explainer.explain(classifier, photos, output, classifier.conclude(output), Question(**question))  # type: ignore[arg-type]


# --- The closed form


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem[:12])
def test_the_grid_adds_up_to_the_logit(exact: Runtime, bundle: Bundle, path: Path) -> None:
    logits, features = exact.run(loaded(path).pixels[None])
    head = read_head(bundle)
    top = int(logits[0].argmax())
    grid = class_activation(features[0], head.weight[top])
    assert grid.shape == features.shape[2:]
    assert grid.sum() + head.bias[top] == pytest.approx(logits[0, top], abs=1e-3)


def test_heat_is_what_speaks_for_a_class() -> None:
    grid = np.array([[2, -4], [1, 0]], np.float32)
    assert heat(grid).tolist() == [[1, 0], [0.5, 0]]
    assert heat(-np.abs(grid)).tolist() == [[0, 0], [0, 0]]
    # A leaf that fills the photo and is ill all over is hot all over.
    assert heat(np.full((2, 2), 3, np.float32)).tolist() == [[1, 1], [1, 1]]


def test_a_contrast_is_the_difference_of_two_maps(classifier: Classifier, explainer: Explainer) -> None:
    rust, scab, difference = (
        np.array(explain(classifier, explainer, RUST, **question).heatmap.grid)  # type: ignore[union-attr]
        for question in ({"target": RUST_CLASS}, {"target": SCAB_CLASS}, {"target": RUST_CLASS, "contrast": SCAB_CLASS})
    )
    assert np.abs(rust - scab - difference).max() < 1e-2
    assert np.abs(difference).max() > 0.1


# --- The last layer


def test_the_head_is_a_part_of_the_weights(bundle: Bundle, tmp_path: Path) -> None:
    write_head(bundle.fetch(WEIGHTS_FILE), tmp_path / HEAD_FILE)
    assert (tmp_path / HEAD_FILE).stat().st_size < 400_000
    weights, head = load_file(bundle.fetch(WEIGHTS_FILE)), load_file(tmp_path / HEAD_FILE)
    assert set(head) == {"classifier.weight", "classifier.bias"}
    for name, values in head.items():
        assert np.array_equal(values, weights[name])


def bundle_with(tmp_path: Path, files: dict[str, bytes]) -> Bundle:
    write_bundle(tmp_path / "models", files={"model.onnx": b"graph", **files})
    return open_bundle(str(tmp_path / "models"), cache=tmp_path / "cache")


def test_only_the_head_is_fetched_where_there_is_one(bundle: Bundle, tmp_path: Path) -> None:
    classes = len(manifest().classes)
    tensors = {"classifier.weight": np.eye(classes, 9, dtype=np.float32), "classifier.bias": np.ones(classes, "f4")}
    with_head = bundle_with(tmp_path, {HEAD_FILE: save(tensors), WEIGHTS_FILE: b"never read"})
    head = read_head(with_head)
    assert np.array_equal(head.weight, tensors["classifier.weight"])
    assert np.array_equal(head.bias, tensors["classifier.bias"])
    assert not list((tmp_path / "cache").rglob(WEIGHTS_FILE))


def test_a_head_of_another_network_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    write_head(bundle.fetch(WEIGHTS_FILE), tmp_path / "other")
    wrong = bundle_with(tmp_path, {HEAD_FILE: (tmp_path / "other").read_bytes()})
    with pytest.raises(BundleError, match="not a layer for 6 classes"):
        read_head(wrong)


@pytest.mark.parametrize("content", [b"no safetensors", b"\xff" * 100, b"\2\0\0\0\0\0\0\0{}"])
def test_a_head_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BundleError, match=HEAD_FILE):
        read_head(bundle_with(tmp_path, {HEAD_FILE: content}))


def test_a_bundle_without_head_and_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=WEIGHTS_FILE):
        read_head(bundle_with(tmp_path, {"MODEL_CARD.md": b"#"}))


# --- Questions and answers


def test_the_top_class_is_explained(classifier: Classifier, explainer: Explainer) -> None:
    explained = explain(classifier, explainer, RUST)
    assert explained.target.class_id == RUST_CLASS
    assert explained.target.probability == pytest.approx(
        classifier.diagnose([loaded(RUST)]).predictions[0].probability, abs=1e-5
    )
    assert (explained.contrast, explained.method, explained.layer, explained.faithfulness) == (None, "cam", None, None)
    assert explained.heatmap is not None
    assert explained.reason is None
    assert np.array(explained.heatmap.grid).shape == (7, 7)
    assert explained.heatmap.boxes
    assert explained.heatmap.picture.media_type == "image/jpeg"


@pytest.mark.parametrize("path", NOT_LEAVES, ids=lambda path: path.stem)
@pytest.mark.parametrize("question", [{}, {"target": RUST_CLASS}, {"faithfulness": True}])
def test_what_is_no_leaf_gets_no_heatmap(
    classifier: Classifier, explainer: Explainer, path: Path, question: dict[str, object]
) -> None:
    explained = explain(classifier, explainer, path, **question)
    assert explained.heatmap is None
    assert explained.faithfulness is None
    assert "No leaf" in str(explained.reason)


def test_of_several_photos_the_one_that_speaks_most_for_the_class(classifier: Classifier, explainer: Explainer) -> None:
    explained = explain(classifier, explainer, NOT_LEAVES[0], RUST, NOT_LEAVES[1])
    assert explained.photo == 1
    alone = explain(classifier, explainer, RUST)
    assert np.allclose(explained.heatmap.grid, alone.heatmap.grid, atol=1e-2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ({"target": "Banana___rot"}, "Banana___rot"),
        ({"contrast": "x" * 5000}, "contrast"),
        ({"layer": "backbone.head"}, "gradcam"),
        ({"target": RUST_CLASS, "contrast": RUST_CLASS}, "both"),
        ({"contrast": RUST_CLASS}, "both"),
    ],
)
def test_questions_that_make_no_sense(
    classifier: Classifier, explainer: Explainer, question: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidQuestion, match=named) as raised:
        explain(classifier, explainer, RUST, **question)
    assert len(str(raised.value)) < 300


def test_cam_needs_no_torch() -> None:
    program = f"""
import sys
sys.modules["torch"] = None
sys.path.insert(0, ".")
from pathlib import Path
from tests.test_explanation import Classifier, Explainer, RUST, explain, bundled_models, open_bundle, open_runtime
bundle = open_bundle(bundled_models())
classifier, explainer = Classifier(bundle, open_runtime("onnx", bundle, threads=1)), Explainer(bundle, threads=1)
assert explain(classifier, explainer, RUST).heatmap
try:
    explain(classifier, explainer, Path({str(RUST)!r}), method="gradcam++")
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("InvalidQuestion Method gradcam++ needs torch")
    assert done.stdout.strip().endswith("The methods there are: cam.")


# --- Boxes


def photo_of(width: int, height: int, pixels: Pixels | None = None) -> Photo:
    return Photo(np.zeros((224, 224, 3), np.uint8) if pixels is None else pixels, width, height, "JPEG")


def test_boxes_are_in_pixels_of_the_original() -> None:
    hot = np.zeros((7, 7), np.float32)
    hot[1:3, 5] = 1
    (box,) = hot_boxes(hot, photo_of(4000, 700))
    # Cells are 571 x 100 px; the edge of a box lies where heat has fallen to a half.
    assert box.x == pytest.approx(5 * 4000 / 7, abs=300)
    assert box.y == pytest.approx(100, abs=50)
    assert box.width == pytest.approx(4000 / 7, abs=300)
    assert box.height == pytest.approx(200, abs=50)
    assert 0.5 < box.share <= 1


def test_the_box_with_most_heat_comes_first() -> None:
    hot = np.zeros((7, 7), np.float32)
    hot[0, 0], hot[4:6, 4:6] = 0.8, 1
    large, small = hot_boxes(hot, photo_of(700, 700))
    assert (large.x > 300, small.x) == (True, 0)
    assert large.share > small.share > 0


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (10, 13), (112, 112)])
def test_boxes_stay_on_the_photo(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for width, height in ((32, 10_000), (10_000, 32), (224, 224)):
        boxes = hot_boxes(heat(rng.normal(size=shape).astype(np.float32)), photo_of(width, height))
        for box in boxes:
            assert box.x >= 0 <= box.y
            assert box.x + box.width <= width + 1
            assert box.y + box.height <= height + 1
            assert box.width >= 1 <= box.height
        assert len(boxes) <= 5
        assert sum(box.share for box in boxes) <= 1.01


def test_nothing_hot_has_no_box() -> None:
    assert hot_boxes(np.zeros((7, 7), np.float32), photo_of(224, 224)) == ()


def test_regions_that_touch_at_a_corner_are_two() -> None:
    assert len(connected(np.eye(3, dtype=bool))) == 3
    assert len(connected(np.ones((3, 3), dtype=bool))) == 1
    assert connected(np.zeros((3, 3), dtype=bool)) == []


# --- Pictures


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (224, 224, (224, 224)),
        (4000, 3000, (299, 224)),
        (3000, 4000, (224, 299)),
        (64, 32, (448, 224)),
        (10_000, 32, (448, 1)),
    ],
)
@pytest.mark.parametrize("kind", ["jpeg", "png", "heatmap"])
def test_pictures_have_the_aspect_of_the_photo(
    width: int, height: int, expected: tuple[int, int], kind: PictureKind
) -> None:
    picture = draw(photo_of(width, height), np.ones((7, 7), np.float32), Style(kind))
    with opened(picture.data) as image:
        assert image.size == expected
        assert image.mode == ("L" if kind == "heatmap" else "RGB")
        assert image.get_format_mimetype() == picture.media_type


@pytest.mark.parametrize("kind", ["jpeg", "png", "heatmap"])
def test_pictures_of_noise_are_small_enough(kind: PictureKind) -> None:
    # 900 kB for an answer, with a third more for base64.
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1024, 1024, 3), np.uint8)
    picture = draw(photo_of(4000, 4000, noise), rng.random((128, 128), np.float32), Style(kind, alpha=0.5))
    with opened(picture.data) as image:
        assert max(image.size) == LONGEST_SIDE
    assert len(picture.data) < 900_000 * 3 / 4 - 20_000


def test_what_is_cold_shows_the_photo_and_what_is_hot_the_colour() -> None:
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (7, 7, 3), np.uint8), np.ones((32, 32, 1), np.uint8))
    hot = np.zeros((7, 7), np.float32)
    hot[:, 4:] = 1
    with opened(draw(photo_of(224, 224, pixels), hot, Style("png", alpha=1, colormap="viridis")).data) as image:
        drawn = np.asarray(image)
    assert np.array_equal(drawn[:, :96], pixels[:, :96])
    assert np.array_equal(drawn[:, 192:], np.broadcast_to([253, 231, 37], (224, 32, 3)))
    with opened(draw(photo_of(224, 224, pixels), hot, Style("png", alpha=0)).data) as image:
        assert np.array_equal(np.asarray(image), pixels)
    with opened(draw(photo_of(224, 224, pixels), hot, Style("heatmap")).data) as image:
        grey = np.asarray(image)
    assert (grey[:, :96].max(), grey[:, 192:].min()) == (0, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heat_lies_on_the_photo_as_it_is_looked_at(
    classifier: Classifier, explainer: Explainer, orientation: int
) -> None:
    # The same leaf, stored in each of the ways in which cameras store it.
    turned = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    with Image.open(RUST) as image:
        upright = image.resize((320, 240))
    stored = upright if turned is None else upright.transpose(Image.Transpose(turned))
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(file, "PNG", exif=exif)
    plain = io.BytesIO()
    upright.save(plain, "PNG")
    pictures = []
    for data in (plain.getvalue(), file.getvalue()):
        photo = images.load(data, 224)
        assert (photo.width, photo.height) == (320, 240)
        output = classifier.run([photo])
        question = Question(target=RUST_CLASS, style=Style("png"))
        explained = explainer.explain(classifier, [photo], output, classifier.conclude(output), question)
        assert explained.heatmap is not None
        with opened(explained.heatmap.picture.data) as image:
            assert image.size == (299, 224)
            pictures.append(np.asarray(image).astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() < 2


@pytest.mark.parametrize("name", ["inferno", "viridis", "cividis"])
def test_colours_get_lighter_all_the_way(name: ColormapName) -> None:
    # So that they can be told apart without telling hues apart.
    colours = np.frombuffer(palette(name), np.uint8).reshape(256, 3)
    lightness = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness[::8]) > 0).all()
    assert lightness[-1] - lightness[0] > 150


# --- Numbers


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (300, 300), (20, 300)])
def test_grids_are_told_in_few_numbers(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    grid = (rng.normal(size=shape) * 1e-5).astype(np.float32)
    numbers = np.array(_numbers(grid))
    assert numbers.shape == tuple(min(side, FINEST_GRID) for side in shape)
    assert numbers.mean() == pytest.approx(grid.mean(), abs=1e-6)
    assert len(str(_numbers(grid))) < FINEST_GRID**2 * 14


# --- Faithfulness


def test_a_heatmap_that_is_right_is_told_from_one_that_is_wrong() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (224, 224, 3), np.uint8)

    def sharpness_on_the_left(photos: Pixels) -> Floats:
        left = photos[:, :, :64].astype(np.float32)
        spread: Floats = left.std(axis=(1, 2, 3)) / pixels[:, :64].std()
        return spread

    hot = np.zeros((7, 7), np.float32)
    hot[:, :2] = 1
    right = measure(pixels, hot, sharpness_on_the_left)
    assert right.drop > 0.5
    assert abs(right.drop_elsewhere) < 0.1
    assert right.area == pytest.approx(2 / 7, abs=0.05)
    wrong = measure(pixels, hot[:, ::-1].copy(), sharpness_on_the_left)
    assert wrong.drop < wrong.drop_elsewhere


def test_only_what_is_under_the_mask_is_blurred() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    mask = np.zeros((14, 14), bool)
    mask[:7] = True
    result = blurred(pixels, mask)
    assert np.array_equal(result[130:], pixels[130:])
    assert result[:100].std() < pixels.std() / 4


def test_faithfulness_on_a_leaf(classifier: Classifier, explainer: Explainer) -> None:
    measured = explain(classifier, explainer, RUST, faithfulness=True).faithfulness
    assert measured is not None
    assert 0 < measured.area < 0.7
    assert -1 <= measured.drop <= 1 >= measured.drop_elsewhere >= -1
