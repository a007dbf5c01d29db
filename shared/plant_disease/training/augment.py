"""Random changes to training photos, against the shortcuts that lab photos invite.

Lab leaves lie alone on paper, centred and evenly lit; a model learns the paper. So leaves are cut
out and laid on other scenes, and every photo is cropped, turned, recoloured, blurred and recompressed.
"""

import io
import random

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter
from torch import Tensor

from plant_disease.architectures._torchvision import torchvision
from plant_disease.images import Pixels

_MASK_SIDE = 96


class Augment:
    """uint8 (H, W, 3) photo -> uint8 tensor (3, size, size), different each time.

    Args:
        size: side of the result in px.
        backgrounds: scenes that a cut-out leaf can be laid on, uint8 (h, w, 3) each.
    """

    def __init__(self, size: int, backgrounds: list[Pixels]) -> None:
        torchvision()
        from torchvision.transforms import v2

        self._backgrounds = backgrounds
        self._transform = v2.Compose(
            [
                v2.PILToTensor(),
                v2.RandomResizedCrop(size, scale=(0.25, 1.0), ratio=(0.7, 1.4), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomApply([v2.RandomRotation((90, 90))], p=0.5),
                v2.RandomChoice(
                    [
                        v2.TrivialAugmentWide(),
                        v2.ColorJitter(brightness=0.5, contrast=0.4, saturation=0.4, hue=0.03),
                    ]
                ),
                v2.RandomApply([v2.GaussianBlur(5, sigma=(0.3, 2.5))], p=0.2),
            ]
        )

    def __call__(self, pixels: Pixels, *, swap_background: bool) -> Tensor:
        """Change a photo; `swap_background` says that its background may be replaced."""
        image = Image.fromarray(pixels)
        if swap_background and random.random() < 0.6:
            image = self._on_another_scene(image)
        if random.random() < 0.25:
            image = _recompressed(image, quality=random.randint(15, 70))
        if random.random() < 0.15:
            image = _noisy(image, sigma=random.uniform(4, 25))
        return self._transform(image)

    def _on_another_scene(self, image: Image.Image) -> Image.Image:
        mask = leaf_mask(image)
        if mask is None:
            return image
        scene = self._scene(image.size)
        if random.random() < 0.4:
            _foliage(scene, image, mask)
        zoom = random.uniform(0.5, 1.1)
        leaf, shape = _turned(image, mask, round(image.width * zoom))
        scene.paste(leaf, (_offset(scene.width, leaf.width), _offset(scene.height, leaf.height)), shape)
        return scene

    def _scene(self, size: tuple[int, int]) -> Image.Image:
        if random.random() < 0.15:
            return Image.new("RGB", size, tuple(random.choices(range(256), k=3)) if random.random() < 0.6 else "black")
        return Image.fromarray(random.choice(self._backgrounds)).resize(size)


def _foliage(scene: Image.Image, image: Image.Image, mask: Image.Image) -> None:
    """Cover a scene with more leaves of the plant, in shade and out of focus: outdoors, leaves hang before leaves."""
    small = (128, 128)
    image, mask = image.resize(small), mask.resize(small)
    side = random.randint(64, 192)
    for _ in range(random.randint(3, 9)):
        leaf, shape = _turned(image, mask, round(side * random.uniform(0.7, 1.2)))
        leaf = ImageEnhance.Brightness(leaf).enhance(random.uniform(0.3, 1.0))
        if random.random() < 0.5:
            leaf = leaf.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 3)))
        x, y = (random.randint(-side // 2, extent - side // 2) for extent in scene.size)
        scene.paste(leaf, (x, y), shape)


def _turned(image: Image.Image, mask: Image.Image, side: int) -> tuple[Image.Image, Image.Image]:
    """A leaf and its mask at any angle, `side` px wide and high."""
    angle = random.uniform(-180, 180)
    turned, shape = (i.rotate(angle, Image.Resampling.BILINEAR).resize((side, side)) for i in (image, mask))
    return turned, shape


def _offset(whole: int, part: int) -> int:
    """Where to lay a part so that it stays inside the whole, or covers it."""
    return random.randint(min(0, whole - part), max(0, whole - part))


def leaf_mask(image: Image.Image) -> Image.Image | None:
    """A soft mask (mode L) of the leaf on a plain background, or None where none stands out.

    The leaf is what is more colourful than the paper: chroma (largest minus smallest channel) over
    Otsu's threshold (Otsu 1979, doi:10.1109/TSMC.1979.4310076), closed so that pale lesions stay part of it.
    """
    red, green, blue = image.resize((_MASK_SIDE, _MASK_SIDE), Image.Resampling.BOX).split()
    chroma = ImageChops.subtract(
        ImageChops.lighter(ImageChops.lighter(red, green), blue), ImageChops.darker(ImageChops.darker(red, green), blue)
    )
    threshold = _otsu(np.asarray(chroma.histogram(), dtype=np.float64))
    binary = chroma.point([255 * (value > threshold) for value in range(256)])
    closed = binary.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.MinFilter(5))
    area = np.asarray(closed).mean() / 255
    return closed.resize(image.size, Image.Resampling.BICUBIC) if 0.08 < area < 0.9 else None


def out_of_focus(pixels: Pixels) -> Pixels:
    """A photo blurred until it shows no lesion any more, to serve as a background."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(8)))


def _otsu(histogram: np.ndarray) -> int:
    """The grey value that splits a 256-bin histogram with the largest variance between the two parts."""
    share = histogram / histogram.sum()
    below = share.cumsum()
    mean = (share * np.arange(256)).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean[-1] * below - mean) ** 2 / (below * (1 - below))
    return int(np.nanargmax(np.where(np.isfinite(between), between, -1)))


def _recompressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _noisy(image: Image.Image, sigma: float) -> Image.Image:
    noise = np.random.default_rng(random.getrandbits(32)).normal(0, sigma, (*image.size[::-1], 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
