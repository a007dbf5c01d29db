"""Pictures to test with: the drawn ones, and real photos of PLANT_TEST_DATA, beside the checkout if unset."""

import os
from pathlib import Path

PHOTOS = Path(__file__).parent / "photos"
DATA = Path(os.environ.get("PLANT_TEST_DATA", Path(__file__).parents[2] / "shared/data"))

RUST = PHOTOS / "apple-cedar-rust-3.jpg"
RUST_CLASS = "Apple___Cedar_apple_rust"

DRAWN: dict[Path, str] = {PHOTOS / f"apple-cedar-rust-{number}.jpg": RUST_CLASS for number in (1, 2, 3)}

REAL: dict[Path, str] = {
    photo: folder.name for folder in sorted(DATA.glob("leaves/val/*")) for photo in sorted(folder.glob("*.jpg"))[:2]
}
"""Two photos of each class, none of them trained on; empty without the data set."""

LEAVES = DRAWN | REAL
NOT_LEAVES = (PHOTOS / "robot.png", PHOTOS / "gradient.webp", PHOTOS / "phone-12mp.jpg")
