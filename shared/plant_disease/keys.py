"""API keys: what they look like, the document that knows them, and how it is changed.

A key is   pd_<id>_<secret><checksum>   as in   pd_k3v9x0q2m7ab_ 22 characters of secret, 6 of checksum

    id         12 of 0-9a-z; public, names the key in lists and logs
    secret     22 of 0-9A-Za-z, 131 random bits
    checksum   CRC-32 of all before it, in 6 of 0-9A-Za-z: it finds every wrong character, and tells a scanner of
               secrets that what it has come across was a key and not something alike

The document holds of each key no more than its sha256. A slow hash makes guessing dear where there is something to
guess: words that people choose. Nobody guesses 131 random bits, and a slow hash would be paid by every request.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from plant_disease.errors import KeysError, NotFound, PreconditionFailed, StorageUnavailable
from plant_disease.manifest import Sha256
from plant_disease.plans import Plan, Scope
from plant_disease.storage import ABSENT, LIMITS, Limits, Precondition, check_name, open_store

SCANNER: Final = r"\bpd_[0-9a-z]{12}_[0-9A-Za-z]{28}\b"
"""For scanners of secrets; `is_key` tells what they find from what only looks alike."""

_KEY = re.compile(r"pd_([0-9a-z]{12})_[0-9A-Za-z]{28}")
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_DIGITS = string.digits + string.ascii_lowercase
_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 12, 22, 6

_NOBODY = secrets.token_hex(32)
"""Stands in for the sha256 of a key that is not known. Of no text is anybody able to say that this is its sha256."""

_MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
_GIVE_UP_S = 60.0
"""Seconds for which a change that others get in the way of is tried again."""

_TELLABLE = re.compile(r"[a-z0-9_]{1,16}")
"""Names of fields and ids of keys, and neither keys nor hashes."""

M = TypeVar("M", bound=BaseModel)
State = Literal["live", "expired", "revoked"]

KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]{12}$")]
PlanName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name has no line breaks and no invisible characters")
    return name


def _as_sent_by_browsers(origin: str) -> str:
    # Anything else would be accepted here, and never match.
    host = re.fullmatch(r"([a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?", origin)
    if not host or host.groups() in (("https", "443"), ("http", "80")):
        raise ValueError("an origin is like https://example.com or http://localhost:8000: no path, no usual port")
    return origin


Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_printable)]
Origin = Annotated[str, AfterValidator(_as_sent_by_browsers)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class KeyRecord(_Part):
    """What is kept of a key. All times are aware of their zone.

    Attributes:
        name: whose it is, for people; several keys may share it.
        sha256: of the whole key.
        scopes: what it opens.
        plan: by its name in the document.
        created: when it was made.
        expires: from when on it is good no longer; None: never.
        retires: the same, since it was rotated; None: it was not.
        origins: a browser may send it from pages of these only; empty: from any.
        revoked: when it was; None: it was not.
    """

    name: Name
    sha256: Sha256 = Field(repr=False)
    scopes: tuple[Scope, ...] = Field(min_length=1)
    plan: PlanName
    created: AwareDatetime
    expires: AwareDatetime | None = None
    retires: AwareDatetime | None = None
    origins: tuple[Origin, ...] = ()
    revoked: AwareDatetime | None = None

    @property
    def ends(self) -> datetime | None:
        """When it expires or retires, whichever is first."""
        return min((each for each in (self.expires, self.retires) if each), default=None)

    def state(self, now: datetime) -> State:
        """Whether it is good at this time. Revoked is revoked, whatever the clocks say."""
        if self.revoked:
            return "revoked"
        return "expired" if self.ends and now >= self.ends else "live"


class KeyDocument(_Part):
    """All keys, and the plans that they have agreed to.

    Attributes:
        format: of this document.
        plans: by name.
        keys: by id.
    """

    format: Literal[1] = 1
    plans: dict[PlanName, Plan] = Field(default_factory=dict)
    keys: dict[KeyId, KeyRecord] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _plans_exist(self) -> Self:
        for key_id, record in self.keys.items():
            if record.plan not in self.plans:
                raise ValueError(f"key {key_id} has a plan that is not among the plans")
        return self

    def find(self, text: str) -> tuple[str, KeyRecord] | None:
        """Id and record of a key, revoked or not; None if it is none of these.

        Takes as long for a wrong secret as for an id that is not known, and for what is no key at all.
        """
        key_id = id_of(text) or ""
        record = self.keys.get(key_id)
        is_right = hmac.compare_digest(_sha256(text), record.sha256 if record else _NOBODY)
        return (key_id, record) if record and is_right else None


@dataclass(frozen=True)
class Issued:
    """A key that was just made.

    Attributes:
        text: the key itself. It is nowhere else, and cannot be had again.
        id: its public part.
        record: what is kept of it.
    """

    text: str = field(repr=False)
    id: str
    record: KeyRecord


class KeyStore:
    """The document of the keys, where it lies: a file, gs://bucket/path/keys.json or s3://bucket/path/keys.json.

    Raises:
        KeysError: the address names no document.
        StorageError: the extra for this cloud is not installed.
    """

    def __init__(self, uri: str, *, limits: Limits = LIMITS) -> None:
        self.uri = uri
        folder, slash, self._name = uri.rpartition("/")
        try:
            if folder.endswith(":/"):
                raise ValueError("it names a bucket, and no document in it.")
            check_name(self._name)
            self._store = open_store(folder or slash or ".", limits=limits)
        except ValueError as error:
            raise KeysError(f"The address of the API keys cannot be used: {error}") from error

    def read(self) -> KeyDocument:
        """The document; one without keys if there is none.

        Raises:
            KeysError: it is malformed.
            StorageError: the store did not give it.
        """
        return self._load()[0]

    def change(self, edit: Callable[[KeyDocument], KeyDocument]) -> KeyDocument:
        """Replace the document by what `edit` makes of it. What others write at the same time is not lost.

        Args:
            edit: is called again if somebody else was quicker, with what they wrote. It may also come upon its own
                result, if the answer to the first write was lost, and then must leave it as it is.

        Returns:
            The document as it is now.

        Raises:
            KeysError: as `edit` says, or the document is malformed.
            PreconditionFailed: others were quicker for a minute.
            StorageError: the store did not give or take it, or may not have taken it.
        """
        import tenacity  # not needed to serve

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(PreconditionFailed),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
            stop=tenacity.stop_after_delay(_GIVE_UP_S),
            reraise=True,
        )(self._change_once, edit)

    def _change_once(self, edit: Callable[[KeyDocument], KeyDocument]) -> KeyDocument:
        before, generation = self._load()
        after = edit(before)
        if after == before:
            return after
        data = after.model_dump_json(indent=1).encode() + b"\n"
        try:
            self._store.write(self._name, data, if_generation=generation)
        except StorageUnavailable:
            # It may have been written though the answer was lost.
            if self.read() != after:
                raise
        return after

    def _load(self) -> tuple[KeyDocument, Precondition]:
        try:
            blob = self._store.read(self._name, max_bytes=_MAX_DOCUMENT_BYTES)
        except NotFound:
            return KeyDocument(), ABSENT
        return _parsed(blob.data, self.uri), blob.generation


def create(
    store: KeyStore,
    *,
    name: str,
    scopes: Sequence[Scope],
    plan: str,
    expires: datetime | None = None,
    origins: Sequence[str] = (),
) -> Issued:
    """Make a key.

    Args:
        store: the document that shall know it.
        name: whose it is.
        scopes: what it opens.
        plan: by name; one of the document.
        expires: from when on it is good no longer.
        origins: see `KeyRecord`.

    Raises:
        KeysError: a value cannot be used, or there is no such plan.
        StorageError: see `KeyStore.change`.
    """
    now = _now()
    if expires and expires <= now:
        raise KeysError("A key that has expired already is of no use to anybody.")
    text = generate()
    record = _validated(
        KeyRecord,
        name=name,
        sha256=_sha256(text),
        scopes=tuple(scopes),
        plan=plan,
        created=now,
        expires=expires,
        origins=tuple(origins),
    )

    def edit(document: KeyDocument) -> KeyDocument:
        if plan not in document.plans:
            known = ", ".join(document.plans) or "none yet"
            raise KeysError(f"There is no plan {plan!r}; there are: {known}. `plant-disease keys plan` makes one.")
        return _with(document, {_id(text): record})

    return Issued(text, _id(text), store.change(edit).keys[_id(text)])


def revoke(store: KeyStore, key_id: str) -> KeyRecord:
    """Have a key open nothing from now on. To do it again changes nothing.

    Raises:
        KeysError: there is no such key.
        StorageError: see `KeyStore.change`.
    """
    now = _now()

    def edit(document: KeyDocument) -> KeyDocument:
        record = _record(document, key_id)
        return document if record.revoked else _with(document, {key_id: record.model_copy(update={"revoked": now})})

    return store.change(edit).keys[key_id]


def rotate(store: KeyStore, key_id: str, *, keep: timedelta) -> Issued:
    """Make a key that takes the place of another one: same name, scopes, plan and origins, and as long a life.

    Args:
        store: the document that knows it.
        key_id: of the old key.
        keep: how long the old one goes on working beside the new one.

    Raises:
        KeysError: there is no such key, or it is not alive, or was rotated already.
        StorageError: see `KeyStore.change`.
    """
    now, text = _now(), generate()

    def edit(document: KeyDocument) -> KeyDocument:
        if _id(text) in document.keys:
            return document
        old = _record(document, key_id)
        if old.retires:
            raise KeysError(f"Key {key_id} was rotated already. Rotate the key that took its place.")
        if old.state(now) != "live":
            raise KeysError(f"Key {key_id} is {old.state(now)}: make a new one with `plant-disease keys create`.")
        expires = now + (old.expires - old.created) if old.expires else None
        new = old.model_copy(update={"sha256": _sha256(text), "created": now, "expires": expires})
        return _with(document, {key_id: old.model_copy(update={"retires": now + keep}), _id(text): new})

    return Issued(text, _id(text), store.change(edit).keys[_id(text)])


def define_plan(store: KeyStore, name: str, plan: Plan) -> None:
    """Give a plan its terms, whether or not it is new. They hold for all keys that have it.

    Raises:
        KeysError: the name cannot be used.
        StorageError: see `KeyStore.change`.
    """
    store.change(lambda document: _validated(KeyDocument, plans={**document.plans, name: plan}, keys=document.keys))


def generate() -> str:
    """A new key."""
    key_id = "".join(secrets.choice(_ID_DIGITS) for _ in range(_ID_LENGTH))
    secret = "".join(secrets.choice(_DIGITS) for _ in range(_SECRET_LENGTH))
    body = f"pd_{key_id}_{secret}"
    return body + _checksum(body)


def is_key(text: str) -> bool:
    """Whether this has the form of a key and no typing error. Anybody can make a text of which that is true."""
    return id_of(text) is not None and text[-_CHECKSUM_LENGTH:] == _checksum(text[:-_CHECKSUM_LENGTH])


def id_of(text: str) -> str | None:
    """The public part of a key; None if the text does not look like one."""
    match = _KEY.fullmatch(text)
    return match[1] if match else None


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def _id(key: str) -> str:
    return key.split("_")[1]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _record(document: KeyDocument, key_id: str) -> KeyRecord:
    if key_id not in document.keys:
        raise KeysError(f"There is no key {key_id}. `plant-disease keys list` has all of them.")
    return document.keys[key_id]


def _with(document: KeyDocument, records: dict[str, KeyRecord]) -> KeyDocument:
    return KeyDocument(plans=document.plans, keys={**document.keys, **records})


def _parsed(raw: bytes, where: str) -> KeyDocument:
    try:
        return KeyDocument.model_validate_json(raw)
    except ValidationError as error:
        raise KeysError(f"{where} is no document of API keys: {_faults(error)}") from None


def _validated(model: type[M], **fields: object) -> M:
    try:
        return model(**fields)
    except ValidationError as error:
        raise KeysError(_faults(error)) from None


def _faults(error: ValidationError) -> str:
    """What is wrong, and where. A name in the document that may be a key or a hash in the wrong place is left out."""

    def place(path: tuple[int | str, ...]) -> str:
        return ".".join(str(part) if _TELLABLE.fullmatch(str(part)) else "?" for part in path) or "document"

    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{place(fault['loc'])}: {fault['msg']}" for fault in found[:5])
