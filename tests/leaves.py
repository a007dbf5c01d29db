"""Leaves drawn by program: our own pictures of a diseased leaf, for tests and examples.

A blade is a polygon with veins, shade and grain; the disease is spots on it. Caricatures, plain enough for a
model that has only seen photos.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIDE = 512
Colour = tuple[int, int, int]


def cedar_apple_rust(seed: int) -> Image.Image:
    """Apple, cedar apple rust: bright orange spots with a reddish rim on a smooth green leaf."""
    rng = np.random.default_rng(seed)

    def spots(draw: ImageDraw.ImageDraw) -> None:
        for x, y in _scattered(9, rng):
            radius = rng.uniform(13, 24)
            _disc(draw, x, y, radius * 1.25, (196, 180, 60))
            _disc(draw, x, y, radius, (236, 150, 30))
            _disc(draw, x, y, radius * 0.45, (190, 70, 30))

    return _on_paper(_oval(0.72), (86, 128, 62), spots, rng)


def _oval(slenderness: float) -> list[tuple[float, float]]:
    """The outline of a leaf with its tip up, in px."""
    points = []
    for side in (1, -1):
        steps = np.linspace(0, 1, 160)[::side]
        width = slenderness * 0.42 * SIDE * np.sin(np.pi * steps**0.85) ** 0.8
        points += [(SIDE / 2 + side * w, SIDE * (0.06 + 0.86 * t)) for w, t in zip(width, steps, strict=True)]
    return points


def _on_paper(
    outline: list[tuple[float, float]],
    green: Colour,
    disease: Callable[[ImageDraw.ImageDraw], None],
    rng: np.random.Generator,
) -> Image.Image:
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    blade = Image.new("RGB", (SIDE, SIDE), green)
    vein: Colour = tuple(min(255, c + 38) for c in green)  # type: ignore[assignment]
    draw = ImageDraw.Draw(blade)
    centre = SIDE / 2
    for t in np.linspace(0.14, 0.82, 9):
        y = SIDE * (0.06 + 0.86 * t)
        for side in (1, -1):
            draw.line((centre, y, centre + side * 0.4 * SIDE, y - 0.24 * SIDE), vein, 3)
    draw.line((centre, 0.05 * SIDE, centre, 0.93 * SIDE), vein, 6)
    blade = blade.filter(ImageFilter.GaussianBlur(2))
    spotted = blade.copy()
    disease(ImageDraw.Draw(spotted))
    blade = spotted.filter(ImageFilter.GaussianBlur(1.2))
    blade = ImageChops.multiply(blade, _clouds(rng, 0.72, 1.0))
    paper = ImageChops.multiply(Image.new("RGB", (SIDE, SIDE), (176, 170, 178)), _clouds(rng, 0.9, 1.0))
    shadow = ImageChops.offset(mask, 12, 10).filter(ImageFilter.GaussianBlur(7))
    paper.paste((88, 82, 92), mask=shadow.point(lambda value: value * 0.7))
    ImageDraw.Draw(paper).line((centre, 0.9 * SIDE, centre + 18, SIDE), vein, 8)
    paper.paste(blade, mask=mask.filter(ImageFilter.GaussianBlur(1)))
    return _photographed(paper, rng)


def _clouds(rng: np.random.Generator, low: float, high: float, side: int = SIDE) -> Image.Image:
    """Soft light and shade, as a picture to multiply with."""
    noise = Image.fromarray((255 * rng.uniform(low, high, (7, 7))).astype(np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    return noise.convert("RGB")


def _photographed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Grain and a little blur, at the size of the model's training photos."""
    small = image.filter(ImageFilter.GaussianBlur(0.8)).resize((256, 256), Image.Resampling.LANCZOS)
    grain = rng.normal(0, 7, (256, 256, 1))
    return Image.fromarray((np.asarray(small) + grain).clip(0, 255).astype(np.uint8))


def _scattered(count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    return [
        (x, y) for x, y in zip(rng.uniform(0.2, 0.8, count) * SIDE, rng.uniform(0.12, 0.86, count) * SIDE, strict=True)
    ]


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
