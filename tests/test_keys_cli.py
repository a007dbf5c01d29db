"""`plant-disease keys`, as a person or a script types it."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from plant_disease import keys
from plant_disease.cli import main
from plant_disease.keys import KeyStore
from tests.test_cli import COMMAND


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    path = tmp_path / "keys.json"
    monkeypatch.setenv("PLANT_API_KEYS_URI", str(path))
    return KeyStore(str(path))


@pytest.fixture
def run(store: KeyStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process. Whatever it prints, it is neither a hash nor, but where it is made, a key."""
    made: list[str] = []

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["plant-disease", "keys", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        out, err = capsys.readouterr()
        done = Done(int(str(ended.value.code or 0)), out, err)
        assert "Traceback" not in err
        printed = f"{out} {err}"
        assert not [text for text in made if text.split("_")[2] in printed]
        assert not [record.sha256 for record in store.read().keys.values() if record.sha256 in printed]
        made.extend(word.strip('",') for word in printed.split() if keys.is_key(word.strip('",')))
        return done

    return run


@pytest.fixture
def starter(run: Run) -> Run:
    """There is a plan."""
    assert run("plan", "starter", "--rate", "predict=60/minute", "--quota", "10000/month").code == 0
    return run


def as_json(done: Done) -> Any:
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_the_first_key_of_a_person(tmp_path: Path) -> None:
    uri = str(tmp_path / "keys.json")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [COMMAND, "keys", *arguments, "--keys-uri", uri]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)

    assert command("plan", "starter").returncode == 0
    done = command("create", "Greenhouse", "--plan", "starter", "--scope", "predict")
    assert done.returncode == 0, done.stderr
    # Alone on standard output, so that it can be piped to where it is kept.
    assert keys.is_key(done.stdout.removesuffix("\n"))
    assert "cannot be had again" in done.stderr
    found = KeyStore(uri).read().find(done.stdout.strip())
    assert found is not None
    assert found[1].name == "Greenhouse"


def test_created_listed_revoked(starter: Run, store: KeyStore) -> None:
    options = ("--scope", "usage", "--scope", "predict", "--origin", "https://a.example", "--expires-in", "90d")
    made = as_json(starter("create", "[b]Green[/b]", "--plan", "starter", *options, "--json"))
    found = store.read().find(made["key"])
    assert found is not None
    assert found[0] == made["id"]
    assert set(made) == {
        "account",
        *("key", "id", "state", "name", "scopes", "plan", "created", "expires", "retires", "origins", "revoked"),
    }
    assert (made["name"], made["scopes"], made["plan"]) == ("[b]Green[/b]", ["predict", "usage"], "starter")
    lifetime = datetime.fromisoformat(made["expires"]) - datetime.fromisoformat(made["created"])
    assert lifetime == timedelta(days=90)

    listed = as_json(starter("list", "--json"))
    assert listed["plans"] == {"starter": {"rates": {"predict": "60/minute"}, "quota": "10000/month"}}
    assert listed["keys"] == [{name: value for name, value in made.items() if name != "key"}]
    table = starter("list").out
    for cell in (made["id"], "[b]Green[/b]", "live", made["expires"][:10], "60/minute", "https://a.example"):
        assert cell in table

    assert "is revoked" in starter("revoke", made["id"]).out
    assert as_json(starter("revoke", made["id"], "--json"))["state"] == "revoked"
    assert [key["state"] for key in as_json(starter("list", "--json"))["keys"]] == ["revoked"]


def test_a_whole_key_that_was_found_somewhere_can_be_revoked(starter: Run, store: KeyStore) -> None:
    text = starter("create", "x", "--plan", "starter", "--scope", "predict").out.strip()
    assert starter("revoke", text).code == 0
    assert [record.state(datetime.now(UTC)) for record in store.read().keys.values()] == ["revoked"]


@pytest.mark.parametrize(("keep", "days"), [((), 7), (("--keep", "2w"), 14), (("--keep", "0d"), 0)])
def test_rotated(starter: Run, store: KeyStore, keep: tuple[str, ...], days: int) -> None:
    old = as_json(starter("create", "x", "--plan", "starter", "--scope", "predict", "--json"))
    new = as_json(starter("rotate", old["id"], *keep, "--json"))
    document = store.read()
    assert document.find(old["key"])
    assert document.find(new["key"])
    retires = document.keys[old["id"]].retires
    assert retires is not None
    assert retires - datetime.fromisoformat(new["created"]) == timedelta(days=days)
    again = starter("rotate", old["id"])
    assert (again.code, "was rotated already" in again.err) == (1, True)


def test_until_a_day(starter: Run, store: KeyStore) -> None:
    assert starter("create", "x", "--plan", "starter", "--scope", "predict", "--expires-on", "2100-01-31").code == 0
    (record,) = store.read().keys.values()
    assert record.expires == datetime(2100, 1, 31, tzinfo=UTC)


def test_a_plan_is_replaced(starter: Run, store: KeyStore) -> None:
    assert as_json(starter("plan", "starter", "--rate", "batch=5/hour", "--json")) == {
        "starter": {"rates": {"batch": "5/hour"}, "quota": None}
    }
    assert store.read().plans["starter"].rates == {"batch": "5/hour"}


CREATE = ("create", "x", "--plan", "starter", "--scope", "predict")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Usage"),
        (("create",), 2, "name"),
        (("create", "x"), 2, "--plan"),
        (("create", "x", "--plan", "starter"), 2, "--scope"),
        (("create", "x", "--plan", "starter", "--scope", "admin"), 2, "predict, batch, explain, usage"),
        (("create", "x", "--plan", "gold", "--scope", "predict"), 1, "There is no plan 'gold'"),
        ((*CREATE, "--expires-in", "soon"), 2, "90d"),
        ((*CREATE, "--expires-in", "-1d"), 2, "90d"),
        ((*CREATE, "--expires-in", "0d"), 1, "expired already"),
        ((*CREATE, "--expires-on", "2020-01-01"), 1, "expired already"),
        ((*CREATE, "--expires-on", "tomorrow"), 2, "expires-on"),
        ((*CREATE, "--expires-in", "1d", "--expires-on", "2100-01-01"), 2, "only one"),
        ((*CREATE, "--origin", "a.example"), 1, "https://example.com"),
        (("revoke",), 2, "ID"),
        (("revoke", "aaaaaaaaaaaa"), 1, "There is no key aaaaaaaaaaaa"),
        (("rotate", "aaaaaaaaaaaa"), 1, "There is no key aaaaaaaaaaaa"),
        (("plan", "x", "--rate", "predict=60/m"), 2, "predict=60/minute"),
        (("plan", "x", "--rate", "predict"), 2, "predict=60/minute"),
        (("plan", "x", "--rate", "fly=60/minute"), 2, "predict=60/minute"),
        (("plan", "x", "--quota", "much"), 2, "10000/month"),
        (("plan", "a plan"), 1, "plans"),
        (("list", "--keys-uri", "gs://bucket"), 1, "names a bucket, and no document"),
    ],
)
def test_exit_codes(starter: Run, store: KeyStore, arguments: tuple[str, ...], code: int, message: str) -> None:
    before = store.read()
    done = starter(*arguments)
    assert done.code == code
    # Typer frames its messages and breaks their lines.
    assert message in " ".join(word for word in f"{done.err} {done.out}".split() if word != "│")
    assert store.read() == before


def test_most_of_a_key_is_not_repeated(starter: Run) -> None:
    text = keys.generate()
    for mistyped in (text[:-1], text + "x", text.upper(), text.split("_")[2]):
        done = starter("revoke", mistyped)
        assert done.code == 2
        assert text.split("_")[2][:12].casefold() not in done.err.casefold()


def test_without_an_address(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANT_API_KEYS_URI")
    done = run("list")
    assert done.code == 2
    assert "PLANT_API_KEYS_URI" in done.err


def test_a_document_that_is_malformed(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    for arguments in (("list",), ("plan", "x"), ("revoke", "a" * 12)):
        done = run(*arguments, "--keys-uri", str(bad))
        assert done.code == 1
        assert "is no document of API keys" in done.err
    assert bad.read_text() == "{"
