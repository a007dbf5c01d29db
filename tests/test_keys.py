"""The form of API keys, and the document that knows them: on a folder, moto and fake-gcs-server."""

import hashlib
import hmac
import json
import multiprocessing
import os
import random
import re
import string
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant_disease import keys
from plant_disease.errors import KeysError, NotFound, StorageUnavailable
from plant_disease.keys import KeyDocument, KeyRecord, KeyStore
from plant_disease.plans import Plan
from tests.storage.conftest import QUICK, Place, make_place, place, remote

__all__ = ["make_place", "place", "remote"]

bounded = settings(deadline=None, derandomize=True, database=None, max_examples=40)

LETTERS_AND_DIGITS = string.ascii_letters + string.digits
PLAN = Plan(rates={"predict": "60/minute"}, quota="10000/month")
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def create(store: KeyStore, name: str = "Greenhouse") -> keys.Issued:
    return keys.create(store, name=name, scopes=["predict"], plan="starter")


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """With a plan, and no key."""
    store = KeyStore(str(tmp_path / "keys.json"))
    keys.define_plan(store, "starter", PLAN)
    return store


def test_a_key_is_random_in_at_least_128_bits() -> None:
    made = [keys.generate() for _ in range(500)]
    for text in made:
        assert keys.is_key(text)
        assert re.fullmatch(keys.SCANNER, text)
        assert set(text.removeprefix("pd_").replace("_", "")) <= set(LETTERS_AND_DIGITS)
        assert text.split("_")[1] == keys.id_of(text)
    hidden = [text.split("_")[2][:-6] for text in made]
    assert all(len(LETTERS_AND_DIGITS) ** len(secret) > 2**128 for secret in hidden)
    assert len(set(hidden)) == len(hidden)
    # 11,000 characters of 62: 177 of each on average.
    frequency = Counter("".join(hidden))
    assert set(frequency) == set(LETTERS_AND_DIGITS)
    assert max(frequency.values()) < 2 * min(frequency.values())


def test_the_checksum_finds_every_wrong_character_and_every_swap_of_neighbours() -> None:
    for text in (keys.generate() for _ in range(5)):
        for at in range(len(text)):
            for other in set(string.printable + "é") - {text[at]}:
                assert not keys.is_key(text[:at] + other + text[at + 1 :])
        for at in range(len(text) - 7):
            if text[at] != text[at + 1]:
                assert not keys.is_key(text[:at] + text[at + 1] + text[at] + text[at + 2 :])
        for wrong in (text[:-1], text[1:], text + "a", text + "\n", " " + text, text.upper(), text.lower(), ""):
            assert not keys.is_key(wrong)


def test_a_scanner_finds_a_key_in_a_text() -> None:
    text = keys.generate()
    found = re.findall(keys.SCANNER, f'curl -H "X-API-Key: {text}" # and pd_{"a" * 12}_{"b" * 40} is none')
    assert found == [text]


@bounded
@given(st.text() | st.from_regex(keys.SCANNER, fullmatch=True))
def test_any_text_is_looked_at_without_a_fault(text: str) -> None:
    assert keys.is_key(text) in (True, False)
    assert KeyDocument().find(text) is None


instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
ids = st.from_regex(r"[0-9a-z]{12}", fullmatch=True)
plan_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,10}", fullmatch=True)
plans = st.builds(
    Plan,
    rates=st.dictionaries(st.sampled_from(["predict", "batch", "explain"]), st.sampled_from(["1/second", "60/minute"])),
    quota=st.none() | st.just("10000/month"),
)


@st.composite
def documents(draw: st.DrawFn) -> KeyDocument:
    defined = draw(st.dictionaries(plan_names, plans, min_size=1, max_size=3))
    scopes = st.lists(st.sampled_from(["predict", "batch", "explain", "usage"]), min_size=1).map(tuple)
    origins = st.lists(st.sampled_from(["https://a.example", "http://localhost:8000", "capacitor://app"])).map(tuple)
    records = st.builds(
        KeyRecord,
        name=st.text(min_size=1, max_size=20).filter(str.isprintable),
        sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        scopes=scopes,
        plan=st.sampled_from(sorted(defined)),
        created=instants,
        expires=st.none() | instants,
        retires=st.none() | instants,
        origins=origins,
        revoked=st.none() | instants,
    )
    return KeyDocument(plans=defined, keys=draw(st.dictionaries(ids, records, max_size=5)))


@bounded
@given(documents())
def test_what_is_written_is_what_is_read(document: KeyDocument) -> None:
    assert KeyDocument.model_validate_json(document.model_dump_json()) == document


def test_a_key_is_found_by_the_whole_of_it(store: KeyStore) -> None:
    first, second = create(store, "first"), create(store, "second")
    document = store.read()
    assert document.find(first.text) == (first.id, first.record)
    assert document.find(second.text) == (second.id, second.record)
    foreign = keys.generate()
    for wrong in (
        foreign,
        f"pd_{first.id}_{foreign.split('_')[2]}",
        f"pd_{second.id}_{first.text.split('_')[2]}",
        first.text[:-1],
        first.record.sha256,
        "",
    ):
        assert document.find(wrong) is None


def test_whatever_is_asked_two_hashes_are_compared_in_constant_time(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []
    compare = hmac.compare_digest

    def noting(a: str, b: str) -> bool:
        compared.append((a, b))
        return compare(a, b)

    text = create(store).text
    document = store.read()
    monkeypatch.setattr(hmac, "compare_digest", noting)
    wrong = [keys.generate(), text[:-1] + ("a" if text[-1] != "a" else "b"), "no key", "", "é"]
    for asked in [text, *wrong]:
        document.find(asked)
    assert len(compared) == len(wrong) + 1
    assert [mine for mine, _ in compared] == [sha256(asked) for asked in [text, *wrong]]
    assert all(len(kept) == 64 for _, kept in compared)


def test_a_key_stands_nowhere_but_in_what_create_returns(store: KeyStore) -> None:
    issued = create(store)
    secret = issued.text.split("_")[2]
    document = Path(store.uri).read_text()
    assert issued.record.sha256 == sha256(issued.text)
    assert issued.record.sha256 in document
    for shown in (document, repr(issued), str(issued), repr(store.read())):
        assert secret[:10] not in shown
    for shown in (repr(issued), repr(issued.record), repr(store.read())):
        assert issued.record.sha256 not in shown


def record(**fields: object) -> KeyRecord:
    given = {"name": "x", "sha256": "0" * 64, "scopes": ("predict",), "plan": "starter", "created": NOW}
    return KeyRecord.model_validate({**given, **fields})


@pytest.mark.parametrize(
    ("fields", "before", "at"),
    [
        ({}, "live", "live"),
        ({"expires": NOW}, "live", "expired"),
        ({"retires": NOW}, "live", "expired"),
        ({"retires": NOW, "expires": NOW + timedelta(days=9)}, "live", "expired"),
        ({"expires": NOW, "retires": NOW + timedelta(days=9)}, "live", "expired"),
        # The clock of whoever revoked it may be ahead.
        ({"revoked": NOW + timedelta(days=1)}, "revoked", "revoked"),
        ({"revoked": NOW, "expires": NOW}, "revoked", "revoked"),
    ],
)
def test_how_long_a_key_lives(fields: dict[str, object], before: str, at: str) -> None:
    assert record(**fields).state(NOW - timedelta(seconds=1)) == before
    assert record(**fields).state(NOW) == at


def test_no_document_is_a_document_without_keys(place: Place) -> None:
    assert KeyStore(f"{place.uri}/keys.json", limits=QUICK).read() == KeyDocument()


def test_created_revoked_rotated(place: Place) -> None:
    store = KeyStore(f"{place.uri}/keys.json", limits=QUICK)
    keys.define_plan(store, "starter", PLAN)
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    old = keys.create(
        store,
        name="Grünes Haus",
        scopes=["predict", "usage"],
        plan="starter",
        expires=expires,
        origins=["https://a.example"],
    )
    new = keys.rotate(store, old.id, keep=timedelta(days=7))
    document = KeyStore(f"{place.uri}/keys.json", limits=QUICK).read()
    assert document.plans == {"starter": PLAN}
    assert set(document.keys) == {old.id, new.id}
    now = datetime.now(UTC)
    for issued in (old, new):
        found = document.find(issued.text)
        assert found is not None
        assert found[1].state(now) == "live"
        assert found[1].name == "Grünes Haus"
        assert (found[1].scopes, found[1].origins) == (("predict", "usage"), ("https://a.example",))
    kept = document.keys[old.id]
    assert kept.retires == document.keys[new.id].created + timedelta(days=7)
    assert kept.expires == expires
    assert kept.state(now + timedelta(days=8)) == "expired"
    # As long a life as the old one was given, from now on.
    assert document.keys[new.id].expires == document.keys[new.id].created + (expires - kept.created)

    with pytest.raises(KeysError, match="was rotated already"):
        keys.rotate(store, old.id, keep=timedelta(0))
    revoked = keys.revoke(store, new.id)
    assert revoked.state(now) == "revoked"
    assert keys.revoke(store, new.id) == revoked, "again changes nothing"
    with pytest.raises(KeysError, match="is revoked"):
        keys.rotate(store, new.id, keep=timedelta(0))


def test_what_cannot_be_made(store: KeyStore) -> None:
    good = {"name": "x", "scopes": ["predict"], "plan": "starter"}
    for wrong, message in (
        ({"plan": "gold"}, r"no plan 'gold'; there are: starter"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"expires": datetime.now(UTC) - timedelta(seconds=1)}, "expired already"),
        *(
            ({"origins": [origin]}, "an origin is like")
            for origin in (
                "a.example",
                "https://a.example/",
                "https://a.example/x",
                "https://A.example",
                "https://a.example:443",
                "http://a.example:80",
                "https://a.example:x",
                "https://*.a.example",
                "null",
                "*",
                "",
            )
        ),
    ):
        before = Path(store.uri).read_bytes()
        with pytest.raises(KeysError, match=message):
            keys.create(store, **{**good, **wrong})  # type: ignore[arg-type]
        assert Path(store.uri).read_bytes() == before
    for origin in ("https://a.example", "http://localhost:8000", "http://[::1]:8000", "capacitor://localhost"):
        keys.create(store, **good, origins=[origin])  # type: ignore[arg-type]
    with pytest.raises(KeysError, match="no key aaaaaaaaaaaa"):
        keys.revoke(store, "a" * 12)
    with pytest.raises(KeysError, match="no key aaaaaaaaaaaa"):
        keys.rotate(store, "a" * 12, keep=timedelta(0))
    with pytest.raises(KeysError, match="plans"):
        keys.define_plan(store, "a plan", PLAN)


@pytest.mark.parametrize(
    "uri",
    ["gs://bucket", "gs://bucket/", "s3://bucket", "", "keys/", "..", "gs://UPPER/keys.json", "ftp://x/keys.json"],
)
def test_an_address_that_names_no_document(uri: str) -> None:
    with pytest.raises(KeysError, match="address of the API keys"):
        KeyStore(uri)


def test_a_file_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("keys.json", "sub/keys.json", f"{tmp_path}/there", f"file://{tmp_path}/here"):
        keys.define_plan(KeyStore(uri), "starter", PLAN)
        assert KeyStore(uri).read().plans == {"starter": PLAN}
    assert {path.name for path in tmp_path.rglob("*") if path.is_file() and "lock" not in path.name} == {
        "keys.json",
        "there",
        "here",
    }


TEXT = keys.generate()
HASH = sha256(TEXT)
GOOD = json.loads(record(sha256=HASH).model_dump_json())


def whole(**changes: object) -> dict[str, object]:
    return {"format": 1, "plans": {"starter": {}}, "keys": {keys.id_of(TEXT): {**GOOD, **changes}}}


MALFORMED: list[object] = [
    {"keys": {TEXT: GOOD}, "plans": {"starter": {}}},
    {"keys": {HASH: GOOD}, "plans": {"starter": {}}},
    {"keys": {}, "plans": {TEXT: {"rates": TEXT}}},
    {"keys": {}, "plans": {HASH * 2: {}}},
    {"keys": {}, HASH: TEXT},
    {"format": TEXT},
    {"format": 2, "keys": {}},
    [TEXT],
    TEXT,
    *(whole(**{field: value}) for field in GOOD for value in (TEXT + "\n", HASH + "\n", [TEXT + " "], {TEXT: HASH})),
    whole(**{TEXT: HASH}),
    whole(**{HASH: TEXT}),
    whole(plan="gold"),
    whole(created="2026-11-01T00:00:00"),
    whole(scopes=[]),
]


@pytest.mark.parametrize("document", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_document_is_refused_and_the_error_tells_no_secret(tmp_path: Path, document: object) -> None:
    path = tmp_path / "keys.json"
    for text in (json.dumps(document), json.dumps(document)[:-1]):
        path.write_text(text)
        with pytest.raises(KeysError, match=re.escape(f"{path} is no document of API keys")) as caught:
            KeyStore(str(path)).read()
        shown = "".join(traceback.format_exception(caught.value))
        assert TEXT.split("_")[2] not in shown
        assert HASH not in shown
        with pytest.raises(KeysError):
            keys.define_plan(KeyStore(str(path)), "starter", PLAN)
        assert path.read_text() == text, "what cannot be read is not written over"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for data in (b"", b"\xff\xfe", b"\0" * 100, b"[" * 100_000):
        path.write_bytes(data)
        with pytest.raises(KeysError):
            KeyStore(str(path)).read()


def test_a_whole_document_is_accepted() -> None:
    document = KeyDocument.model_validate_json(json.dumps(whole()))
    assert document.find(TEXT) is not None
    # As somebody may write it by hand.
    by_hand = {"plans": {"free": {"rates": {"predict": "5/hour"}}}}
    assert KeyDocument.model_validate(by_hand).plans["free"].rates == {"predict": "5/hour"}


WRITERS, KEYS_EACH = 5, 6

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__, "plant_disease.storage.s3", "plant_disease.storage.gcs"])


def _write(uri: str, environment: dict[str, str], seed: int, made: "multiprocessing.SimpleQueue[object]") -> None:
    os.environ.clear()
    os.environ.update(environment)
    rng = random.Random(seed)
    store = KeyStore(uri)
    mine = []
    for number in range(KEYS_EACH):
        mine.append(create(store, f"{seed} {number}"))
        if rng.random() < 0.5:
            keys.revoke(store, mine[-1].id)
    mine.append(keys.rotate(store, create(store, f"{seed} old").id, keep=timedelta(days=1)))
    made.put([issued.text for issued in mine])


def test_of_many_who_write_at_once_nothing_is_lost(place: Place) -> None:
    uri = f"{place.uri}/keys.json"
    keys.define_plan(KeyStore(uri), "starter", PLAN)
    made = _forks.SimpleQueue()
    writers = [
        _forks.Process(target=_write, args=(uri, dict(os.environ), seed, made), daemon=True) for seed in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    texts = [text for _ in writers for text in made.get()]
    document = KeyStore(uri).read()
    assert len(texts) == WRITERS * (KEYS_EACH + 1)
    assert len(document.keys) == WRITERS * (KEYS_EACH + 2)
    found = [document.find(text) for text in texts]
    assert all(found)
    assert len([each for each in document.keys.values() if each.retires]) == WRITERS
    # What each of them drew, and nothing of the others'.
    revoked = {each.name for each in document.keys.values() if each.revoked}
    expected = set()
    for seed in range(WRITERS):
        rng = random.Random(seed)
        expected |= {f"{seed} {number}" for number in range(KEYS_EACH) if rng.random() < 0.5}
    assert revoked == expected


def test_the_answer_to_a_write_is_lost(remote: Place) -> None:
    assert remote.proxy
    store = KeyStore(f"{remote.uri}/keys.json", limits=QUICK)
    keys.define_plan(store, "starter", PLAN)

    def edit(document: KeyDocument) -> KeyDocument:
        # All attempts of the write; that it was written is seen by reading it.
        remote.proxy.set("drop", times=QUICK.attempts)
        return KeyDocument(plans={**document.plans, "other": PLAN}, keys=document.keys)

    assert set(store.change(edit).plans) == {"starter", "other"}
    assert set(store.read().plans) == {"starter", "other"}


def test_the_answer_is_lost_and_somebody_else_writes_at_once(
    remote: Place, monkeypatch: pytest.MonkeyPatch, moto_url: str, gcs_url: str
) -> None:
    proxy = remote.proxy
    assert proxy
    store = KeyStore(f"{remote.uri}/keys.json", limits=QUICK)
    keys.define_plan(store, "starter", PLAN)
    old = create(store)
    with monkeypatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_S3", moto_url)
        environment.setenv("STORAGE_EMULATOR_HOST", gcs_url)
        other = KeyStore(f"{remote.uri}/keys.json", limits=QUICK)
        other.read()
    others: list[keys.Issued] = []

    def edit_by(rotation: Callable[[KeyDocument], KeyDocument]) -> Callable[[KeyDocument], KeyDocument]:
        def edit(document: KeyDocument) -> KeyDocument:
            if not others:
                proxy.set("drop", times=1)
                proxy.on_drop = lambda: others.append(create(other, "other"))
            return rotation(document)

        return edit

    change = store.change
    monkeypatch.setattr(store, "change", lambda rotation: change(edit_by(rotation)))
    new = keys.rotate(store, old.id, keep=timedelta(days=1))
    assert len(others) == 1
    document = other.read()
    assert set(document.keys) == {old.id, new.id, others[0].id}, "rotated once, and nothing is lost"
    assert document.find(new.text)


def test_a_store_that_is_away(remote: Place) -> None:
    assert remote.proxy
    store = KeyStore(f"{remote.uri}/keys.json", limits=QUICK)
    keys.define_plan(store, "starter", PLAN)
    remote.proxy.set("refuse")
    with pytest.raises(StorageUnavailable):
        create(store)
    remote.proxy.set("pass")
    assert not store.read().keys


def test_a_bucket_that_does_not_exist_takes_no_key(remote: Place) -> None:
    store = KeyStore(f"{remote.missing}/keys.json", limits=QUICK)
    with pytest.raises(NotFound):
        keys.define_plan(store, "starter", PLAN)


def test_the_hash_of_a_key_is_what_anybody_can_compute(store: KeyStore) -> None:
    issued = create(store)
    assert json.loads(Path(store.uri).read_bytes())["keys"][issued.id]["sha256"] == sha256(issued.text)
