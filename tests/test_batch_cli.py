"""`plant-disease batch`: from folders, globs and buckets to a table, whatever stops it on the way."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import httpx
import pyarrow.parquet
import pytest

from plant_disease import tables
from tests.samples import PHOTOS, RUST, RUST_CLASS
from tests.servers import REGION

COMMAND = str(Path(sys.executable).parent / "plant-disease")
ROBOT = PHOTOS / "robot.png"


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "batch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """Two leaves, a robot, a photo that is cut off, and a file that is no photo."""
    folder = tmp_path / "leaves"
    (folder / "more").mkdir(parents=True)
    shutil.copy(RUST, folder / "b.JPG")
    shutil.copy(RUST, folder / "more/c.jpeg")
    shutil.copy(ROBOT, folder / "d.png")
    (folder / "cut.jpg").write_bytes(RUST.read_bytes()[:4000])
    (folder / "notes.txt").write_text("none of these")
    return folder


def test_a_folder_to_a_table(leaves: Path, tmp_path: Path) -> None:
    done = run("leaves", "-o", "out.csv", "--top-k", "2", cwd=tmp_path)
    assert done.returncode == 1, "a photo failed"
    assert "diagnosed" in done.stdout
    assert "4/4" in done.stderr
    found = rows(tmp_path / "out.csv")
    assert [row["name"] for row in found] == ["leaves/b.JPG", "leaves/cut.jpg", "leaves/d.png", "leaves/more/c.jpeg"]
    assert [row["index"] for row in found] == ["0", "1", "2", "3"]
    assert [row["decision"] for row in found] == ["diagnosed", "", "rejected", "diagnosed"]
    assert found[0]["class_id"] == RUST_CLASS
    assert found[1]["error"] == "unreadable_image"
    assert found[0]["others"].count(";") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leaves", "out.csv"]


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("leaves/*.[Jj][Pp]*", ["leaves/b.JPG", "leaves/cut.jpg"]),
        ("leaves/**/*.jpeg", ["leaves/more/c.jpeg"]),
        ("leaves/d.png", ["leaves/d.png"]),
        ("leaves/notes.txt", ["leaves/notes.txt"]),
        ("leaves/*", ["leaves/b.JPG", "leaves/cut.jpg", "leaves/d.png"]),
        (".", ["leaves/b.JPG", "leaves/cut.jpg", "leaves/d.png", "leaves/more/c.jpeg"]),
    ],
)
def test_places(leaves: Path, tmp_path: Path, place: str, names: list[str]) -> None:
    run(place, "-o", "out.jsonl", cwd=tmp_path)
    assert [item["name"] for item in lines(tmp_path / "out.jsonl")] == names


def test_json_lines_and_a_summary_for_machines(leaves: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = run(leaves / "b.JPG", leaves, leaves / "more", "-o", out, "--crop", "apple", "--json")
    summary = json.loads(done.stdout)
    assert summary | {"seconds": 0, "photos_per_second": 0} == {
        "out": str(out),
        "total": 4,
        "diagnosed": 2,
        "uncertain": 0,
        "rejected": 1,
        "failed": 1,
        "resumed": 0,
        "seconds": 0,
        "photos_per_second": 0,
    }
    items = lines(out)
    assert [item["index"] for item in items] == [0, 1, 2, 3], "a photo that is named twice counts once"
    assert {each["crop"] for each in items[0]["predictions"]} == {"Apple"}
    assert items[0]["images"] == [{"width": 256, "height": 256, "format": "JPEG"}]
    assert items[1]["problem"]["code"] == "unreadable_image"


def test_parquet(leaves: Path, tmp_path: Path) -> None:
    run(leaves, "-o", tmp_path / "out.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == list(tables.COLUMNS)
    assert table["class_id"].to_pylist()[0] == RUST_CLASS
    assert table["probability"].to_pylist()[1] is None
    assert table["healthy"].to_pylist()[0] is False


Fill = Callable[[str, bytes], None]


@pytest.fixture(params=["s3", "gs"])
def bucket(
    request: pytest.FixtureRequest, aws_environment: pytest.MonkeyPatch, moto_url: str, gcs_url: str
) -> tuple[str, Fill]:
    """A bucket's URI, and what puts an object into it."""
    name = f"batch-cli-{request.param}"
    if request.param == "s3":
        aws_environment.setenv("AWS_ENDPOINT_URL_S3", moto_url)
        client = boto3.client("s3", endpoint_url=moto_url)
        location = {"LocationConstraint": REGION}
        client.create_bucket(Bucket=name, CreateBucketConfiguration=location)  # type: ignore[arg-type]
        return f"s3://{name}", lambda key, data: client.put_object(Bucket=name, Key=key, Body=data) and None
    aws_environment.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    httpx.post(f"{gcs_url}/storage/v1/b", json={"name": name}, trust_env=False).raise_for_status()

    def fill(key: str, data: bytes) -> None:
        url = f"{gcs_url}/upload/storage/v1/b/{name}/o?uploadType=media&name={key}"
        httpx.post(url, content=data, trust_env=False).raise_for_status()

    return f"gs://{name}", fill


def test_a_bucket(bucket: tuple[str, Fill], tmp_path: Path) -> None:
    uri, fill = bucket
    for number in range(30):
        fill(f"field/{number:02}.jpg", RUST.read_bytes())
    fill("field/notes.txt", b"no photo")
    fill("field/zero.jpg", b"")
    fill("elsewhere/a.jpg", RUST.read_bytes())
    done = run(f"{uri}/field", "-o", tmp_path / "out.csv")
    assert done.returncode == 1, done.stderr
    found = rows(tmp_path / "out.csv")
    assert [row["name"] for row in found] == [f"{uri}/field/{n:02}.jpg" for n in range(30)] + [f"{uri}/field/zero.jpg"]
    assert {row["class_id"] for row in found[:30]} == {RUST_CLASS}
    assert found[30]["error"] == "empty_image"
    assert run(f"{uri}/field/03.jpg", "-o", tmp_path / "one.csv").returncode == 0
    gone = run(f"{uri}-nobody/field", "-o", tmp_path / "none.csv")
    assert gone.returncode == 1
    assert "Traceback" not in gone.stderr


# --- Stopped on the way


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Photos enough for some seconds of work."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(120):
        shutil.copy(PHOTOS / "phone-12mp.jpg", folder / f"{number:03}.jpg")
    return folder


def stopped(many: Path, out: Path, how: signal.Signals) -> tuple[int, str]:
    """Begin a batch and stop it once some are done."""
    journal = out.with_name(f"{out.name}.partial")
    popen = subprocess.Popen(
        [COMMAND, "batch", many, "-o", out],
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has it ignored, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
        assert popen.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    popen.send_signal(how)
    _, errors = popen.communicate(timeout=60)
    return popen.returncode, errors


def done_in(journal: Path) -> list[str]:
    # SIGKILL can cut a write in two, so what follows the last line break does not count.
    *lines, _ = journal.read_bytes().split(b"\n")
    return [json.loads(line)["name"] for line in lines[1:]]


def test_ctrl_c_and_again(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    code, errors = stopped(many, out, signal.SIGINT)
    assert code == 130
    assert "the same command goes on from there" in " ".join(errors.split())
    assert not out.exists()
    done = len(done_in(tmp_path / "out.csv.partial"))
    assert 0 < done < 120
    assert f"{done} of 120" in " ".join(errors.split())
    again = run(many, "-o", out, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["resumed"] == done
    assert [row["name"] for row in rows(out)] == [str(path) for path in sorted(many.iterdir())]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many", "out.csv"]


def test_killed_in_the_middle_of_a_line(many: Path, tmp_path: Path) -> None:
    out, journal = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    stopped(many, out, signal.SIGKILL)
    whole = done_in(journal)
    with journal.open("ab") as file:
        file.write(b'{"index": 3, "name": "' + str(many / "119.jpg").encode())
    again = run(many, "-o", out, "--json")
    assert json.loads(again.stdout)["resumed"] == len(set(whole))
    names = [item["name"] for item in lines(out)]
    assert names == [str(path) for path in sorted(many.iterdir())]


def test_what_failed_is_tried_again(leaves: Path, tmp_path: Path) -> None:
    journal = tmp_path / "out.jsonl.partial"
    run(leaves, "-o", tmp_path / "first.jsonl")
    first = lines(tmp_path / "first.jsonl")
    # As if it had been stopped after these, and the photo had been mended since.
    head = subprocess.run([COMMAND, "models", "show", "--json"], capture_output=True, text=True, check=True).stdout
    terms = {"model": json.loads(head)["sha256"], "top_k": 3, "crops": []}
    kept = [json.dumps(terms, sort_keys=True), *(json.dumps(item) for item in first[:2])]
    journal.write_text("\n".join(kept) + "\n")
    shutil.copy(RUST, leaves / "cut.jpg")
    again = run(leaves, "-o", tmp_path / "out.jsonl", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["resumed"] == 1
    assert [item["status"] for item in lines(tmp_path / "out.jsonl")] == ["ok"] * 4


def test_not_resumed_with_other_options(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    stopped(many, out, signal.SIGKILL)
    before = (tmp_path / "out.csv.partial").read_bytes()
    other = run(many, "-o", out, "--top-k", "1")
    assert other.returncode == 1
    assert "other options" in " ".join(other.stderr.split())
    assert (tmp_path / "out.csv.partial").read_bytes() == before


def test_two_at_once(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    first = subprocess.Popen([COMMAND, "batch", many, "-o", out], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (tmp_path / "out.csv.partial").exists():
        time.sleep(0.005)
    first.send_signal(signal.SIGSTOP)
    try:
        second = run(many, "-o", out)
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert "in use" in second.stderr
    assert first.wait(120) == 0
    assert len(rows(out)) == 120


# --- Misuse


def test_misuse(leaves: Path, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("precious")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    shutil.copy(RUST, tmp_path / "odd/back\\slash.jpg")
    (tmp_path / "mine.csv.partial").write_text("a file of somebody's, without a line break")
    for arguments, code, text in (
        ((leaves, "-o", tmp_path / "there.csv"), 2, "exists"),
        ((leaves, "-o", tmp_path / "out.xls"), 1, ".parquet"),
        ((tmp_path / "empty", "-o", tmp_path / "out.csv"), 2, "no .jpg"),
        ((tmp_path / "nowhere", "-o", tmp_path / "out.csv"), 2, "no .jpg"),
        ((leaves / "b.JPG", tmp_path / "typo", "-o", tmp_path / "out.csv"), 2, "no .jpg"),
        ((tmp_path / "odd", "-o", tmp_path / "out.csv"), 2, "Rename it"),
        ((leaves, "-o", tmp_path / "mine.csv"), 1, "other options"),
        (("ftp://x/y", "-o", tmp_path / "out.csv"), 2, "gs://"),
        ((leaves, "-o", tmp_path / "out.csv", "--crop", "Banana"), 1, "Banana"),
        ((leaves, "-o", tmp_path / "no/out.csv"), 1, "cannot be written"),
    ):
        done = run(*arguments)
        assert done.returncode == code, done.stderr
        assert text in " ".join(done.stderr.replace("│", " ").split())
        assert "Traceback" not in done.stderr
    assert (tmp_path / "there.csv").read_text() == "precious"
    assert [path.read_text() for path in tmp_path.glob("*.partial")] == ["a file of somebody's, without a line break"]
