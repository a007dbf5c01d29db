"""Draw the pictures in tests/photos that are nobody's photos: `python -m tests.make_photos`.

All are our own work, under the licence of the project, and come out the same on every run of one Pillow version.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tests.leaves import cedar_apple_rust

FOLDER = Path(__file__).parent / "photos"


def robot() -> Image.Image:
    """No leaf at all: what the leaf gate must reject."""
    image = Image.new("RGB", (320, 320), (205, 214, 224))
    draw = ImageDraw.Draw(image)
    steel, dark = (126, 136, 150), (40, 44, 52)
    draw.line((160, 60, 160, 22), dark, 5)
    draw.ellipse((150, 12, 170, 32), (214, 60, 50))
    draw.rounded_rectangle((95, 58, 225, 150), 16, steel, dark, 4)
    for x in (130, 190):
        draw.ellipse((x - 17, 80, x + 17, 114), "white", dark, 3)
        draw.ellipse((x - 6, 91, x + 6, 103), dark)
    draw.rectangle((125, 126, 195, 136), dark)
    draw.rounded_rectangle((80, 160, 240, 270), 14, steel, dark, 4)
    for row in range(2):
        for column in range(3):
            draw.ellipse(
                (110 + 40 * column, 185 + 35 * row, 128 + 40 * column, 203 + 35 * row), (238, 190, 60), dark, 2
            )
    for x0, x1 in ((48, 74), (246, 272)):
        draw.rounded_rectangle((x0, 168, x1, 262), 10, dark)
    for x in (105, 180):
        draw.rectangle((x, 272, x + 35, 312), dark)
    return image


def gradient() -> Image.Image:
    """Nothing to see, and green to red: colour alone must not make a diagnosis."""
    across = np.linspace(0, 1, 320)[None, :, None]
    down = np.linspace(1, 0.6, 240)[:, None, None]
    colours = (1 - across) * np.array([40, 140, 60]) + across * np.array([190, 60, 40])
    return Image.fromarray((colours * down).astype(np.uint8))


def phone_photo() -> Image.Image:
    """12 megapixels, as stored by a phone held upright (turned by EXIF orientation 6); blurred shapes, so it packs."""
    rng = np.random.default_rng(2015)
    small = Image.fromarray(rng.integers(60, 200, (30, 40, 3), dtype=np.uint8))
    return small.resize((4000, 3000), Image.Resampling.BICUBIC)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for number, seed in enumerate((2, 4, 6), start=1):
        cedar_apple_rust(seed).save(FOLDER / f"apple-cedar-rust-{number}.jpg", quality=88)
    robot().save(FOLDER / "robot.png", optimize=True)
    gradient().save(FOLDER / "gradient.webp", quality=90)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "No phone", 6
    exif[0x8825] = {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}  # A place, which must not be kept.
    phone_photo().save(FOLDER / "phone-12mp.jpg", quality=60, exif=exif)


if __name__ == "__main__":
    main()
