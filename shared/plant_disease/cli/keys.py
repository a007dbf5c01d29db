"""`plant-disease keys`: make API keys, look at them, exchange them, take them back."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, get_args

import typer
from rich.markup import escape
from rich.table import Table

from plant_disease import keys, plans
from plant_disease.cli.output import Json, console, errors_console, print_json
from plant_disease.keys import Issued, KeyRecord, KeyStore

app = typer.Typer(help="Make API keys, look at them, exchange them, take them back.", no_args_is_help=True)

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SCOPES: tuple[plans.Scope, ...] = get_args(plans.Scope)


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"([0-9]{1,5})([mhdw])", text)
    if not match:
        raise typer.BadParameter("say 30m, 12h, 90d or 2w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _scope(text: str) -> str:
    if text not in _SCOPES:
        raise typer.BadParameter(f"say {', '.join(_SCOPES)}")
    return text


def _key_id(text: str) -> str:
    key_id = keys.id_of(text) or text
    if not re.fullmatch(r"[0-9a-z]{12}", key_id):
        # Not quoted: it may be most of a key.
        raise typer.BadParameter("an id is the 12 letters and digits between the two underscores of a key")
    return key_id


Store = Annotated[
    KeyStore,
    typer.Option(
        "--keys-uri",
        parser=KeyStore,
        metavar="URI",
        envvar="PLANT_API_KEYS_URI",
        help="Document of the keys: a file, gs://bucket/keys.json or s3://bucket/keys.json.",
    ),
]
KeyId = Annotated[
    str, typer.Argument(parser=_key_id, metavar="ID", help="Id of a key, or a whole key that was found somewhere.")
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    store: Store,
    plan: Annotated[str, typer.Option(help="What was agreed to; see `keys plan`.")],
    scope: Annotated[
        list[str],
        typer.Option(parser=_scope, metavar="|".join(_SCOPES), help="What the key opens; may be repeated."),
    ],
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Browsers may send it from pages of this origin only; may be repeated."),
    ] = None,
    expires_in: Annotated[
        timedelta | None, typer.Option(parser=_duration, metavar="90d", help="How long it is good: 12h, 90d, 2w.")
    ] = None,
    expires_on: Annotated[datetime | None, typer.Option(help="Until when it is good, in UTC.")] = None,
    json: Json = False,
) -> None:
    """Make a key. It is shown this once, on standard output, and cannot be had again."""
    if expires_in is not None and expires_on is not None:
        raise typer.BadParameter("only one of them can be", param_hint=["--expires-in", "--expires-on"])
    expires = expires_on.replace(tzinfo=UTC) if expires_on else None
    if expires_in is not None:
        expires = datetime.now(UTC).replace(microsecond=0) + expires_in
    issued = keys.create(
        store,
        name=name,
        scopes=[each for each in _SCOPES if each in scope],
        plan=plan,
        expires=expires,
        origins=origin or (),
    )
    _print_issued(issued, json)


@app.command("list")
def list_(store: Store, json: Json = False) -> None:
    """List the keys, without what is secret in them, and the plans."""
    document, now = store.read(), datetime.now(UTC)
    if json:
        listed = [_as_dict(key_id, record, now) for key_id, record in document.keys.items()]
        print_json({"plans": {name: plan.model_dump() for name, plan in document.plans.items()}, "keys": listed})
        return
    terms = Table("plan", "rates", "quota")
    for name, plan in document.plans.items():
        terms.add_row(name, "\n".join(f"{endpoint}: {rate}" for endpoint, rate in plan.rates.items()), plan.quota)
    table = Table("id", "name", "state", "until", "plan", "scopes", "origins")
    for key_id, record in document.keys.items():
        table.add_row(
            key_id,
            escape(record.name),
            record.state(now),
            f"{record.ends:%Y-%m-%d %H:%M}" if record.ends else "",
            record.plan,
            " ".join(record.scopes),
            escape("\n".join(record.origins)),
        )
    console.print(terms, table)


@app.command()
def revoke(key_id: KeyId, store: Store, json: Json = False) -> None:
    """Take a key back. Running services turn it away within a minute."""
    record = keys.revoke(store, key_id)
    if json:
        print_json(_as_dict(key_id, record, datetime.now(UTC)))
    else:
        console.print(f"Key {key_id} ({escape(record.name)}) is revoked.", highlight=False, soft_wrap=True)


@app.command()
def rotate(
    key_id: KeyId,
    store: Store,
    keep: Annotated[
        timedelta,
        typer.Option(parser=_duration, metavar="7d", help="How long the old key goes on working: 0d, 12h, 2w."),
    ] = "7d",  # type: ignore[assignment]  # parsed as if it were typed
    json: Json = False,
) -> None:
    """Make a key that takes the place of another one, which goes on working for a while."""
    _print_issued(keys.rotate(store, key_id, keep=keep), json, instead_of=key_id)


@app.command("plan")
def plan_(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    store: Store,
    rate: Annotated[
        list[str] | None,
        typer.Option(metavar="predict=60/minute", help="Photos in a time, by function; may be repeated."),
    ] = None,
    quota: Annotated[
        str | None, typer.Option(metavar="10000/month", help="Photos in a time, all functions together.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what keys of a plan may ask for, from now on and in place of what was said before. Not said: without end."""
    try:
        plan = plans.Plan.model_validate({"rates": dict(each.split("=", 1) for each in rate or ()), "quota": quota})
    except ValueError as error:
        raise typer.BadParameter(
            "say --rate predict=60/minute, with predict, batch, explain or uploads, and --quota 10000/month; "
            "the times are second, minute, hour, day and month"
        ) from error
    keys.define_plan(store, name, plan)
    if json:
        print_json({name: plan.model_dump()})
    else:
        console.print(f"Plan {name} is set.", highlight=False)


def _print_issued(issued: Issued, json: bool, *, instead_of: str | None = None) -> None:
    if json:
        print_json({"key": issued.text, **_as_dict(issued.id, issued.record, datetime.now(UTC))})
        return
    # By itself on standard output, so that it can be piped to where it is kept.
    errors_console.print(
        f"Key {issued.id} for {escape(issued.record.name)}"
        f"{f' in place of {instead_of}' if instead_of else ''}. It is shown this once and cannot be had again:",
        highlight=False,
        soft_wrap=True,
    )
    console.print(issued.text, highlight=False, soft_wrap=True)


def _as_dict(key_id: str, record: KeyRecord, now: datetime) -> dict[str, Any]:
    return {"id": key_id, "state": record.state(now), **record.model_dump(mode="json", exclude={"sha256"})}
