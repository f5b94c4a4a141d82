"""`headgraft keys`: creates, lists and revokes API keys directly in Redis; the HTTP API cannot."""

import os
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from headgraft.service.local import state
from headgraft.service.web import created_keys
from headgraft.service.web.key_limits import KeyLimits
from headgraft.workers.ledger.connections import connect
from headgraft.workers.ledger.ledger import Ledger

app = typer.Typer(help="Keys of the API: create, list, revoke.", no_args_is_help=True)
Count = Annotated[int | None, typer.Option(min=1)]


@app.command()
def create(
    owner: Annotated[str, typer.Argument(help="Whose objects the key opens.")],
    label: Annotated[str, typer.Option(help="What the key is for, to tell it in the list.")] = "",
    requests_per_minute: Count = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Injections queued or running at once.")
    ] = None,
    upload_bytes: Annotated[int | None, typer.Option(min=1, help="The largest upload.")] = None,
    stored_bytes: Annotated[
        int | None, typer.Option(min=1, help="The most its owner may keep in the store.")
    ] = None,
) -> None:
    """Create a key and print it, this once; limits left out are the service's own."""
    limits = KeyLimits(
        requests_per_minute=requests_per_minute,
        jobs=jobs,
        upload_bytes=upload_bytes,
        stored_bytes=stored_bytes,
    )
    key, text = created_keys.create(_ledger(), owner, label, limits)
    typer.echo(f"key {key.id} of {owner}; it is shown this once:", err=True)
    typer.echo(text)


@app.command("list")
def show() -> None:
    """List the created keys; a key's text can never be read again."""
    table = Table("id", "owner", "label", "limits", "created", "revoked", box=None)
    table.columns[0].no_wrap = True
    for key in created_keys.listed(_ledger()):
        said = key.limits.model_dump(exclude_none=True)
        limits = " ".join(f"{name}={value}" for name, value in said.items())
        table.add_row(
            key.id, key.owner, key.label, limits, _day(key.created_at), _day(key.revoked_at)
        )
    Console().print(table)


@app.command()
def revoke(key: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Make a key open nothing, from the next request on."""
    revoked = created_keys.revoke(_ledger(), key)
    typer.echo(f"key {revoked.id} of {revoked.owner} is revoked")


def _day(at_ms: int | None) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") if at_ms else ""


def _ledger() -> Ledger:
    home = state.locate(os.environ)
    url = os.environ.get("HEADGRAFT_REDIS_URL") or home.running("redis-url")
    if not url:
        raise created_keys.KeyringError(
            f"keys lie in Redis: set HEADGRAFT_REDIS_URL, or start `headgraft up` on {home.path}"
        )
    return Ledger(connect(url))
