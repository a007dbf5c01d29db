"""Who may ask."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from plant_disease.keys import is_key
from plant_disease.plans import Plan, Scope
from plant_disease.service.keyring import Keyring, Known, keys_unavailable
from plant_disease.service.limits import subject_of_address
from plant_disease.service.problems import Problem
from plant_disease.service.telemetry import record
from plant_disease.settings import Settings


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        subject: whose requests are counted together: `key:<id>`, of the first of keys that were rotated, or
            `address:<IP address>` of one without a key.
        key_id: public part of the key; None without a key.
        name: whose key it is; None without a key.
        plan_name: what the plan is called.
        plan: what was agreed to; None where no key is asked for, and so nothing was.
    """

    subject: str
    key_id: str | None = None
    name: str | None = None
    plan_name: str | None = None
    plan: Plan | None = None


# https://www.rfc-editor.org/rfc/rfc6750#section-3
_CHALLENGE = 'Bearer realm="plant-disease"'
_INVALID = {"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'}

_ApiKey = Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", scheme_name="X-API-Key", auto_error=False))]
_Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(scheme_name="Bearer", description="the same key", auto_error=False)),
]

SECURITY: list[dict[str, list[str]]] = [{"X-API-Key": []}, {"Bearer": []}]
"""Of a route that calls `identify` itself, for the OpenAPI document."""


@cache
def caller(*scopes: Scope) -> Callable[..., Awaitable[Caller]]:
    """`identify` as a dependency of a route, which also says in the OpenAPI document how to send a key."""

    async def identified(request: Request, _api_key: _ApiKey, _bearer: _Bearer) -> Caller:
        return await identify(request, *scopes)

    return identified


async def identify(request: Request, *scopes: Scope) -> Caller:
    """Who asks for something that costs something, if they may; closed unless `PLANT_AUTH=off`.

    It also leaves the caller in the state of the request.

    Args:
        request: the request.
        scopes: one of these the key must open.

    Raises:
        Problem: 400, 401, 403 or 503: see the message.
    """
    who = await _identified(request, scopes)
    request.state.caller = who
    return who


async def _identified(request: Request, scopes: Sequence[Scope]) -> Caller:
    settings: Settings = request.app.state.engine.settings
    if settings.auth == "off":
        return Caller(_address(request))
    if settings.api_keys_uri is None:
        raise _key_required(
            "This service asks for an API key and has none on file. "
            "Whoever runs it behind a gateway of their own sets PLANT_AUTH=off."
        )
    text = _sent(request)
    keyring: Keyring = request.app.state.keyring
    if text is not None:
        return _with_key(text, await keyring.known(), scopes, request.headers.get("origin"))
    if settings.anonymous_plan is None or scopes == ("usage",):
        raise _key_required()
    return _anonymous(request, await keyring.known(), settings.anonymous_plan)


def _sent(request: Request) -> str | None:
    """The one key of a request."""
    scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
    bearer = credentials if credentials and scheme.lower() == "bearer" else None
    api_key = request.headers.get("x-api-key") or None
    if api_key is None:
        return bearer
    # Anything but a key in Authorization is for a gateway in front of this service.
    if bearer is not None and bearer != api_key and bearer.startswith("pd_"):
        raise Problem(400, "two_keys", "X-API-Key and Authorization hold different keys. Send one.")
    return api_key


def _with_key(text: str, known: Known, scopes: Sequence[Scope], origin: str | None) -> Caller:
    found = known.document.find(text)
    if found is None:
        # What is well-formed may be a key that was made since the document was read.
        raise _invalid_key() if known.is_current or not is_key(text) else keys_unavailable()
    key_id, key = found
    record().fields["key_id"] = key_id
    state = key.state(datetime.now(UTC))
    if state == "revoked":
        raise _invalid_key()
    if state == "expired":
        # Nobody hears this who does not hold the whole key.
        raise Problem(401, "key_expired", "This API key has expired. Ask for a new one.", headers=_INVALID)
    if not set(scopes) & set(key.scopes):
        raise Problem(403, "scope_missing", f"This API key may not be used for {' or '.join(scopes)}.")
    if origin is not None and key.origins and origin not in key.origins:
        raise Problem(403, "origin_not_allowed", "This API key may not be used from pages of this origin.")
    return Caller(f"key:{key.account or key_id}", key_id, key.name, key.plan, known.document.plans[key.plan])


def _anonymous(request: Request, known: Known, plan: str) -> Caller:
    if plan not in known.document.plans:
        raise _key_required()
    return Caller(_address(request), plan_name=plan, plan=known.document.plans[plan])


def _address(request: Request) -> str:
    try:
        return subject_of_address(request.client.host if request.client else "")
    except ValueError:
        # All whose address is not known share one.
        return "address:unknown"


def _key_required(detail: str = "Send your API key as X-API-Key, or as Authorization: Bearer.") -> Problem:
    return Problem(401, "key_required", detail, headers={"WWW-Authenticate": _CHALLENGE})


def _invalid_key() -> Problem:
    """The same for what is malformed, unknown, wrong or revoked."""
    return Problem(401, "invalid_key", "This API key is not valid. Check that it is complete.", headers=_INVALID)
