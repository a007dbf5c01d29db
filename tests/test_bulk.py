"""`plant-disease bulk`: on a cluster whose nodes die, stopped and begun again, the answers are those of `/predict`."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import boto3
import httpx
import pyarrow
import pyarrow.parquet
import pytest
from ray.cluster_utils import Cluster

from functions.predict.routes import router as predict
from plant_disease import tables
from plant_disease.bulk.plan import Done, Plan, Terms, make_plan, open_plan, read_done
from plant_disease.bulk.shards import Job, Worker
from plant_disease.bundle import open_bundle
from plant_disease.cli import main
from plant_disease.errors import BundleError, StorageUnavailable
from plant_disease.service.app import create_app
from plant_disease.settings import Settings
from plant_disease.storage import Store, open_store
from tests.samples import DATA, DRAWN, NOT_LEAVES, RUST
from tests.servers import REGION, FaultyProxy

COMMAND = str(Path(sys.executable).parent / "plant-disease")
REAL = sorted(DATA.glob("leaves/val/*/*.jpg")) or sorted(DRAWN) * 120
MANY = 300
SHARD = 6


def command(*arguments: str | Path) -> list[str]:
    return [COMMAND, "bulk", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=180, check=False)


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of all files of a folder, in the order of the photos."""
    tables = [pyarrow.parquet.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    found: list[dict[str, Any]] = pyarrow.concat_tables(tables).to_pylist()
    return found


def markers(output: Path) -> dict[str, float]:
    return {path.name: path.stat().st_mtime for path in output.glob("shards/*.json")}


def unspaced(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """Leaves, what is none, a photo that is cut off, and a file that is no photo."""
    folder = tmp_path / "leaves"
    (folder / "more").mkdir(parents=True)
    for photo in (*DRAWN, *NOT_LEAVES):
        shutil.copy(photo, folder)
    shutil.copy(RUST, folder / "more/c.JPEG")
    (folder / "cut.jpg").write_bytes(RUST.read_bytes()[:4000])
    (folder / "notes.txt").write_text("none of these")
    return folder


# --- A cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes with a CPU each, all on this machine."""
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(**node)
    yield cluster
    cluster.shutdown()


def begun(arguments: list[str], output: Path, more: int) -> subprocess.Popen[str]:
    """Begin a run, and come back when so many shards more are done."""
    before = len(markers(output))
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(markers(output)) < before + more:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_killed_begun_again_and_a_node_dies(cluster: Cluster, tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number, photo in enumerate(REAL[:MANY]):
        shutil.copy(photo, photos / f"{number:04}.jpg")
    (photos / "0100.jpg").write_bytes(b"no photo")
    again = command(photos, output, "--shard-size", str(SHARD), "--ray-address", cluster.address, "--json")

    process = begun(again, output, 5)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (output / "manifest.json").exists()
    before = markers(output)
    assert len(before) < MANY / SHARD
    whole = {f"{path.stem}.json" for path in output.glob("results/*.parquet") if pyarrow.parquet.read_table(path)}
    assert set(before) <= whole, "a shard counts once its files are there"

    (photos / "9999.jpg").write_bytes(RUST.read_bytes())
    process = begun(again, output, 5)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    out, errors = process.communicate(timeout=180)
    assert process.returncode == 1, errors
    assert "those that came to" in unspaced(errors).lower()
    summary = json.loads(out)
    assert (summary["total"], summary["failed"], summary["unread"]) == (MANY, 1, 0)
    assert summary["resumed"] >= len(before) * SHARD
    after = markers(output)
    assert {name: after[name] for name in before} == before, "what was done is not done again"

    good, bad = rows(output / "results"), rows(output / "errors")
    assert sorted(row["index"] for row in (*good, *bad)) == list(range(MANY)), "each once"
    assert [row["name"] for row in bad] == [f"{photos}/0100.jpg"]
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["complete"], manifest["plan"]["photos"], len(manifest["shards"])) == (True, MANY, MANY // SHARD)

    # No cluster is asked: this address has none.
    third = run(*again[2:], "--ray-address", "127.0.0.1:1")
    assert json.loads(third.stdout)["resumed"] == MANY
    assert markers(output) == after


# --- The same answers


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[..., tuple[Plan, Store]]:
    def plan_of(photos: str | Path, output: str | Path = tmp_path / "out", size: int = 4) -> tuple[Plan, Store]:
        bundle = open_bundle(Settings().model_uri)
        terms = Terms(
            input=str(photos),
            model=bundle.sha256,
            model_version=bundle.manifest.version,
            runtime="onnx",
            precision="int8",
            top_k=3,
            crops=(),
            shard_size=size,
        )
        store = open_store(str(output))
        return open_plan(store, terms) or make_plan(open_store(str(photos)), store, terms, lambda _: None), store

    return plan_of


def worker(plan: Plan, store: Store, **changes: Any) -> Worker:
    settings = Settings()
    fields: dict[str, Any] = {
        "plan": plan,
        "output": store.uri,
        "model_uri": None,
        "device": "cpu",
        "threads": 1,
        "chunk": 4,
        "cache": settings.model_cache,
        "max_image_bytes": settings.max_image_bytes,
        "max_image_pixels": settings.max_image_pixels,
    }
    return Worker(Job(**fields | changes))


async def asked(photos: list[Path]) -> list[dict[str, Any]]:
    """What `/predict` says, one photo after the other."""
    transport = httpx.ASGITransport(create_app(predict, settings=Settings(auth="off")))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        types = {".png": "image/png", ".webp": "image/webp"}
        return [
            (
                await client.post(
                    "/predict",
                    content=photo.read_bytes(),
                    headers={"content-type": types.get(photo.suffix, "image/jpeg")},
                )
            ).json()
            for photo in photos
        ]


def test_the_answers_are_those_of_predict(leaves: Path, plan_of: Callable[..., tuple[Plan, Store]]) -> None:
    for number, photo in enumerate(REAL[::40][:25]):
        shutil.copy(photo, leaves / f"real-{number}.jpg")
    plan, store = plan_of(leaves, size=7)
    does = worker(plan, store, chunk=3)
    done = [does.do(shard) for shard in range(plan.shards)]
    good, bad = rows(Path(store.uri, "results")), rows(Path(store.uri, "errors"))
    assert list(good[0]) == list(tables.COLUMNS)
    assert [(row["name"], row["code"]) for row in bad] == [(f"{leaves}/cut.jpg", "unreadable_image")]
    assert sum(each.photos for each in done) == plan.photos == len(good) + len(bad)
    for row, answer in zip(good, asyncio.run(asked([Path(row["name"]) for row in good])), strict=True):
        best = answer["predictions"][0]
        assert (row["decision"], row["class_id"]) == (answer["decision"], best["class_id"])
        assert row["probability"] == pytest.approx(best["probability"], abs=1e-5)
        assert row["is_leaf"] == pytest.approx(answer["is_leaf"]["probability"], abs=1e-5)


def test_the_same_bytes_again(leaves: Path, plan_of: Callable[..., tuple[Plan, Store]], tmp_path: Path) -> None:
    """Whoever does a shard, and whatever else is in its chunks: two workers may write over each other."""
    plan, store = plan_of(leaves)
    first = [worker(plan, store).do(shard) for shard in range(plan.shards)]
    other = open_store(str(tmp_path / "other"))
    shutil.copytree(tmp_path / "out" / plan.folder, tmp_path / "other" / plan.folder)
    assert [worker(plan, other, chunk=1, threads=2).do(shard) for shard in range(plan.shards)] == first


# --- The plan


def test_a_plan_counts_when_it_is_whole(leaves: Path, tmp_path: Path) -> None:
    terms = Terms(
        input=str(leaves),
        model="0" * 64,
        model_version="1.0.0",
        runtime="onnx",
        precision="auto",
        top_k=3,
        crops=(),
        shard_size=3,
    )
    photos, output = open_store(str(leaves)), open_store(str(tmp_path / "out"))

    def die(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_plan(photos, output, terms, die)
    assert open_plan(output, terms) is None
    (leaves / "a\u2028line.jpg").write_bytes(RUST.read_bytes())
    plan = make_plan(photos, output, terms, lambda _: None)
    (leaves / "late.jpg").write_bytes(RUST.read_bytes())
    assert make_plan(photos, output, terms, lambda _: None) == plan, "whoever comes second takes the plan of the first"
    assert (plan.photos, plan.shards) == (9, 3)
    names = [name for shard in range(plan.shards) for name in plan.names(output, shard)]
    assert names == sorted(names)
    assert set(names) == {entry.name for entry in photos.list()} - {"notes.txt", "late.jpg"}


# --- Trouble


def test_what_was_not_read_is_tried_again(leaves: Path, plan_of: Callable[..., tuple[Plan, Store]]) -> None:
    plan, store = plan_of(leaves, size=100)
    (leaves / "more/c.JPEG").unlink()
    (leaves / "cut.jpg").unlink()
    (leaves / "cut.jpg").symlink_to(RUST)
    done = worker(plan, store).do(0)
    assert (done.failed, done.unread) == (2, 1), "a photo that is gone stays gone"
    assert {row["code"] for row in rows(Path(store.uri, "errors"))} == {"not_found", "permission_denied"}
    (leaves / "cut.jpg").unlink()
    shutil.copy(RUST, leaves / "cut.jpg")
    assert (worker(plan, store).do(0).failed, read_done(store)[0].unread) == (1, 0)
    shutil.rmtree(leaves)
    assert worker(plan, store).do(0).failed == 1, "done already"


def test_a_run_that_tries_again_and_is_stopped(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command itself, with all the work in this process."""
    last = 2

    def in_this_process(job: Job, shards: list[int], *, workers: int, gpus: float) -> Iterator[Done]:
        for shard in shards:
            if shard > last:
                raise KeyboardInterrupt
            yield Worker(job).do(shard)

    monkeypatch.setattr("plant_disease.bulk.cluster.connected", lambda _: nullcontext(2))
    monkeypatch.setattr("plant_disease.bulk.cluster.has_room", lambda cpus, gpus: True)
    monkeypatch.setattr("plant_disease.bulk.cluster.run", in_this_process)

    def ended(*more: str) -> tuple[int, bool, str]:
        monkeypatch.setattr(sys, "argv", ["plant-disease", "bulk", str(leaves), str(tmp_path / "out"), *more])
        with pytest.raises(SystemExit) as ended:
            main()
        manifest = tmp_path / "out/manifest.json"
        complete = manifest.exists() and json.loads(manifest.read_text())["complete"]
        said = capsys.readouterr()
        return int(ended.value.code or 0), complete, unspaced(said.out + said.err)

    (leaves / "cut.jpg").unlink()
    shutil.copy(RUST, leaves / "cut.jpg")
    code, complete, said = ended("--shard-size", "3")
    assert (code, complete) == (0, True), said
    assert "photos per second" in said

    code, complete, said = ended("--shard-size", "3", "--json")
    assert (code, complete) == (0, True)
    assert '"resumed": 8' in said

    # As if the bucket had refused two photos: what it says is not for ever.
    store = open_store(str(tmp_path / "out"))
    for shard in (1, 2):
        done = read_done(store)[shard].model_copy(update={"unread": 1, "failed": 1})
        store.write(f"shards/{shard:05}.json", done.model_dump_json().encode())
    last = 1
    code, complete, said = ended("--shard-size", "3")
    assert (code, complete) == (130, False)
    assert "2 of 3 shards are done" in said
    last = 2
    code, complete, said = ended("--shard-size", "3", "--json")
    assert (code, complete) == (0, True), said
    assert '"resumed": 6' in said


def test_another_model_on_a_worker(leaves: Path, plan_of: Callable[..., tuple[Plan, Store]], tmp_path: Path) -> None:
    plan, store = plan_of(leaves)
    models = tmp_path / "models"
    shutil.copytree(Settings().model_uri, models)
    manifest = models / plan.terms.model_version / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(BundleError, match="another one here"):
        worker(plan, store, model_uri=str(models)).do(0)
    assert read_done(store) == {}


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest, aws_environment: pytest.MonkeyPatch, moto_url: str, gcs_url: str) -> str:
    """A bucket's URI, with leaves in it."""
    name = f"bulk-{request.param}-{uuid.uuid4().hex[:8]}"
    if request.param == "s3":
        aws_environment.setenv("AWS_ENDPOINT_URL_S3", moto_url)
        location = {"LocationConstraint": REGION}
        boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=location)  # type: ignore[arg-type]
    else:
        aws_environment.setenv("STORAGE_EMULATOR_HOST", gcs_url)
        httpx.post(f"{gcs_url}/storage/v1/b", json={"name": name}, trust_env=False).raise_for_status()
    store = open_store(f"{request.param}://{name}/field")
    for number in range(10):
        store.write(f"{number}.jpg", RUST.read_bytes())
    store.write("empty.jpg", b"")
    return f"{request.param}://{name}"


def check(uri: str, output: str, copy: Path) -> None:
    """What a run over a bucket has written."""
    store = open_store(output)
    for entry in store.list():
        target = copy / entry.name
        target.parent.mkdir(exist_ok=True)
        store.download(entry.name, target)
    assert [row["name"] for row in rows(copy / "results")] == [f"{uri}/{n}.jpg" for n in range(10)]
    assert [(row["index"], row["code"]) for row in rows(copy / "errors")] == [(10, "empty_image")]


def test_buckets(bucket: str, plan_of: Callable[..., tuple[Plan, Store]], tmp_path: Path) -> None:
    plan, store = plan_of(f"{bucket}/field", f"{bucket}/results/by-hand")
    does = worker(plan, store)
    assert [does.do(shard).photos for shard in range(plan.shards)] == [4, 4, 3]
    check(f"{bucket}/field", store.uri, tmp_path)


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_from_a_bucket_to_a_bucket(bucket: str, tmp_path: Path) -> None:
    done = run(f"{bucket}/field", f"{bucket}/results/today", "--shard-size", "4", "--workers", "2", "--json")
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["total"], summary["diagnosed"], summary["failed"], summary["shards"]) == (11, 10, 1, 3)
    check(f"{bucket}/field", f"{bucket}/results/today", tmp_path)
    assert len(json.loads((tmp_path / "manifest.json").read_text())["shards"]) == 3


def test_a_bucket_that_does_not_answer(
    aws_environment: pytest.MonkeyPatch,
    moto_url: str,
    plan_of: Callable[..., tuple[Plan, Store]],
    tmp_path: Path,
) -> None:
    """Nothing is written of a shard of which nothing could be read: the run ends, and may be begun again."""
    with FaultyProxy(moto_url) as proxy:
        aws_environment.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        location = {"LocationConstraint": REGION}
        boto3.client("s3").create_bucket(Bucket="bulk-away", CreateBucketConfiguration=location)  # type: ignore[arg-type]
        open_store("s3://bulk-away").write("a.jpg", RUST.read_bytes())
        plan, store = plan_of("s3://bulk-away")
        proxy.set("reset")
        with pytest.raises(StorageUnavailable):
            worker(plan, store).do(0)
        assert read_done(store) == {}
        assert not (tmp_path / "out/results").exists()
        proxy.set("pass")
        assert worker(plan, store).do(0).diagnosed == 1


# --- Misuse


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs the command in this process, which must end: with which code, and what it says."""

    def refused(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["plant-disease", "bulk", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, unspaced(capsys.readouterr().err)

    return refused


def test_misuse(
    leaves: Path,
    plan_of: Callable[..., tuple[Plan, Store]],
    tmp_path: Path,
    refused: Callable[..., tuple[int, str]],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/plan.json").write_text("{}")
    plan_of(leaves, size=5)
    for arguments, expected, text in (
        ((leaves,), 2, "Missing argument"),
        ((tmp_path / "nowhere", tmp_path / "new"), 2, "no folder"),
        ((tmp_path / "empty", tmp_path / "new"), 2, "no .jpg"),
        (("ftp://x/y", tmp_path / "new"), 2, "gs://"),
        ((leaves, tmp_path / "new", "--crop", "Banana"), 1, "Banana"),
        ((leaves, tmp_path / "new", "--top-k", "1000"), 1, "top_k"),
        ((leaves, tmp_path / "odd"), 1, "no plan"),
        ((leaves, tmp_path / "out", "--shard-size", "6"), 1, "shard_size 5, not 6"),
        ((leaves, tmp_path / "out", "--shard-size", "5", "--ray-address", "127.0.0.1:1"), 1, "no Ray cluster"),
    ):
        code, said = refused(*arguments)
        assert code == expected, said
        assert text in said
    assert not (tmp_path / "new").exists()


def test_not_resumed_on_a_device_that_computes_otherwise(
    leaves: Path,
    plan_of: Callable[..., tuple[Plan, Store]],
    tmp_path: Path,
    refused: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan_of(leaves, size=5)
    monkeypatch.setenv("PLANT_DEVICE", "cuda:0")
    code, said = refused(leaves, tmp_path / "out", "--shard-size", "5")
    assert code == 1
    assert "precision 'int8', not 'fp32'" in said


def without_ray(program: str) -> subprocess.CompletedProcess[str]:
    """Run the command as it is where Ray is not installed."""
    program = f"import sys; sys.modules['ray'] = None; sys.argv[0] = 'x'; {program}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


def test_without_ray(leaves: Path, tmp_path: Path) -> None:
    arguments = ["bulk", str(leaves), str(tmp_path / "out")]
    done = without_ray(f"sys.argv[1:] = {arguments!r}; from plant_disease.cli import main; main()")
    assert done.returncode == 1
    assert 'pip install "plant-disease-detector[bulk]"' in unspaced(done.stderr)
    assert not (tmp_path / "out").exists()


def test_help_does_not_need_ray() -> None:
    done = without_ray("sys.argv[1:] = ['bulk', '--help']; from plant_disease.cli import main; main()")
    assert done.returncode == 0
    assert "--ray-address" in done.stdout
