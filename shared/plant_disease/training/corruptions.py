"""Fixed ways to spoil a photo, to measure how much a model loses by them. For measuring only: nothing trains on them.

In the spirit of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations" (ICLR 2019, arXiv:1903.12261), with what happens to photos of leaves in a field: a shaking hand, a
focus behind the leaf, sun and shade, a messenger that recompresses. The strengths go as far as a person still
recognises the disease. Lengths are shares of the photo's side, so that a strength means the same at every size.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from plant_disease.images import Pixels

Real = npt.NDArray[np.float32]

STRENGTHS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Corruption:
    """One kind of damage.

    Attributes:
        apply: uint8 (H, W, 3), amount, source of chance -> uint8 (H, W, 3).
        amounts: for the strengths 1, 2 and 3; what they measure is said at the function.
    """

    apply: Callable[[Pixels, float, np.random.Generator], Pixels]
    amounts: tuple[float, float, float]


def corrupt(pixels: Pixels, kind: str, strength: int, seed: int) -> Pixels:
    """Spoil a photo, uint8 (H, W, 3) -> the same; equal arguments give equal results.

    Args:
        pixels: the photo; it is not changed.
        kind: one of CORRUPTIONS.
        strength: 1, 2 or 3. All strengths take the same chances (direction of a blur, place of a shadow).
        seed: see `seed_of`.
    """
    corruption = CORRUPTIONS[kind]
    chance = np.random.default_rng([seed, int.from_bytes(kind.encode(), "big")])
    return corruption.apply(pixels, corruption.amounts[STRENGTHS.index(strength)], chance)


def seed_of(data: bytes) -> int:
    """A seed that belongs to a photo's file, whatever its name or place."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def _gaussian_noise(pixels: Pixels, sigma: float, chance: np.random.Generator) -> Pixels:
    """Standard deviation in grey values: a small sensor in poor light."""
    return _clipped(pixels + chance.normal(0, sigma, pixels.shape))


def _defocus_blur(pixels: Pixels, radius: float, _: np.random.Generator) -> Pixels:
    """Radius of the circle of confusion."""
    reach = radius * max(pixels.shape[:2])
    side = int(np.ceil(reach))
    y, x = np.mgrid[-side : side + 1, -side : side + 1]
    # Soft at the edge, so that it grows with every fraction of a pixel.
    return _convolved(pixels, np.clip(reach + 0.5 - np.hypot(x, y), 0, 1))


def _motion_blur(pixels: Pixels, length: float, chance: np.random.Generator) -> Pixels:
    """Length of the path, in any direction."""
    reach = length * max(pixels.shape[:2]) / 2
    angle = chance.uniform(0, np.pi)
    side = int(np.ceil(reach))
    kernel = np.zeros((2 * side + 1, 2 * side + 1))
    for t in np.linspace(-reach, reach, 8 * side + 1):
        kernel[round(side + t * np.sin(angle)), round(side + t * np.cos(angle))] += 1
    return _convolved(pixels, kernel)


def _jpeg(pixels: Pixels, quality: float, _: np.random.Generator) -> Pixels:
    """Quality of libjpeg: sent on by messengers."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=round(quality))
    return np.asarray(Image.open(buffer).convert("RGB"))


def _light(pixels: Pixels, exposure: float, _: np.random.Generator) -> Pixels:
    """Exposure by so many stops in linear light (gamma 2.2); what is too bright is cut off."""
    return _clipped(255 * (2**exposure * (pixels / 255) ** 2.2) ** (1 / 2.2))


def _contrast(pixels: Pixels, share: float, _: np.random.Generator) -> Pixels:
    """Share of the distance to the mean grey that is left: mist on the lens."""
    return _clipped(pixels.mean() + share * (pixels - pixels.mean()))


def _colour_cast(pixels: Pixels, shift: float, chance: np.random.Generator) -> Pixels:
    """Gain of red against blue, either way: a white balance for lamps in the sun, or for the sun in the shade."""
    warm = float(chance.choice([-1, 1])) * shift
    return _clipped(pixels * (1 + warm * np.array([1.0, 0.0, -1.0])))


def _fog(pixels: Pixels, share: float, chance: np.random.Generator) -> Pixels:
    """Share of white haze, in drifts."""
    drifts = _field(pixels, chance.uniform(0.6, 1.4, (4, 4)))
    haze = np.clip(share * drifts, 0, 1)[..., None]
    return _clipped((1 - haze) * pixels + haze * 235)


def _shadow(pixels: Pixels, depth: float, chance: np.random.Generator) -> Pixels:
    """Share of the light that a soft-edged shadow over about half of the photo takes away."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    angle, offset = chance.uniform(0, 2 * np.pi), chance.uniform(-0.15, 0.15)
    distance = (x / width - 0.5) * np.cos(angle) + (y / height - 0.5) * np.sin(angle) + offset
    shade = 1 / (1 + np.exp(-distance / 0.02))
    return _clipped(pixels * (1 - depth * shade[..., None]))


def _pixelation(pixels: Pixels, share: float, _: np.random.Generator) -> Pixels:
    """Share of the side that is left: taken from afar, or sent as a thumbnail."""
    height, width = pixels.shape[:2]
    small = Image.fromarray(pixels).resize((round(width * share), round(height * share)), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


def _rotation(pixels: Pixels, angle: float, chance: np.random.Generator) -> Pixels:
    """Degrees, either way; the corners take the mean colour of the border."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean(axis=0)
    red, green, blue = (round(float(value)) for value in border)
    turned = Image.fromarray(pixels).rotate(
        float(chance.choice([-1, 1])) * angle, Image.Resampling.BICUBIC, fillcolor=(red, green, blue)
    )
    return np.asarray(turned)


def _occlusion(pixels: Pixels, area: float, chance: np.random.Generator) -> Pixels:
    """Share of the area that a finger's shape covers, from one edge inwards."""
    height, width = pixels.shape[:2]
    # Drawn pointing up from the lower edge: a rectangle twice as long as wide with a round tip.
    across = np.sqrt(area / 2) * width
    along, middle = 2 * np.sqrt(area / 2) * height, chance.uniform(0.25, 0.75) * width
    mask = Image.new("L", (width, height))
    box = (middle - across / 2, height - along, middle + across / 2, height + across)
    ImageDraw.Draw(mask).rounded_rectangle(box, across / 2, 255)
    turned = np.rot90(np.asarray(mask.filter(ImageFilter.GaussianBlur(0.01 * width))), int(chance.integers(0, 4)))
    cover = np.asarray(Image.fromarray(turned).resize((width, height)))[..., None] / 255
    return _clipped((1 - cover) * pixels + cover * np.array([196.0, 142.0, 118.0]))


CORRUPTIONS: dict[str, Corruption] = {
    "Gaussian noise": Corruption(_gaussian_noise, (10, 18, 28)),
    "defocus blur": Corruption(_defocus_blur, (0.006, 0.010, 0.014)),
    "motion blur": Corruption(_motion_blur, (0.025, 0.045, 0.065)),
    "JPEG": Corruption(_jpeg, (30, 18, 10)),
    "brighter": Corruption(_light, (0.5, 1.0, 1.5)),
    "darker": Corruption(_light, (-0.8, -1.6, -2.4)),
    "low contrast": Corruption(_contrast, (0.65, 0.45, 0.3)),
    "colour cast": Corruption(_colour_cast, (0.1, 0.2, 0.3)),
    "fog": Corruption(_fog, (0.2, 0.35, 0.5)),
    "shadow": Corruption(_shadow, (0.35, 0.5, 0.65)),
    "low resolution": Corruption(_pixelation, (0.5, 0.35, 0.25)),
    "rotation": Corruption(_rotation, (10, 20, 35)),
    "occlusion": Corruption(_occlusion, (0.04, 0.08, 0.14)),
}
"""Every kind by its name, in the order of reports."""


def _clipped(values: npt.NDArray[np.floating]) -> Pixels:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _convolved(pixels: Pixels, kernel: npt.NDArray[np.floating]) -> Pixels:
    """Weighted mean of shifted copies, with the border repeated outwards; odd square kernel."""
    reach = kernel.shape[0] // 2
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge").astype(np.float32)
    total: Real = np.zeros(pixels.shape, np.float32)
    for y, x in np.argwhere(kernel):
        total += np.float32(kernel[y, x]) * padded[y : y + height, x : x + width]
    return _clipped(total / kernel.sum())


def _field(pixels: Pixels, values: npt.NDArray[np.floating]) -> Real:
    """A few values spread smoothly over the photo, float32 (H, W)."""
    height, width = pixels.shape[:2]
    smooth = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float32)
