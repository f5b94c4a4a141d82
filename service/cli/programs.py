"""`headgraft worker` and `headgraft gc`: commands that become a program of the workers."""

import os
import sys
from typing import Annotated, NoReturn

import typer

from headgraft.service.cli import parsing
from headgraft.service.local import state, up


def worker() -> None:
    """Run a worker for HEADGRAFT_REDIS_URL and HEADGRAFT_STORE_URL, or for the `up` here."""
    up.require_torch()
    _become("headgraft.workers.process.parent")


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be deleted, and delete nothing.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="Make the store this Redis's, though it belonged to another, or none."
        ),
    ] = False,
) -> None:
    """Delete the stored files that no record names and that are older than a day, and list them."""
    options = ["--dry-run" if dry_run else "--now", *(["--adopt"] if adopt else [])]
    _become("headgraft.workers.process.janitor", *options)


def _become(module: str, *options: str) -> NoReturn:
    home = state.locate(os.environ)
    redis_url = os.environ.get("HEADGRAFT_REDIS_URL") or home.running("redis-url")
    store_url = os.environ.get("HEADGRAFT_STORE_URL") or home.running("store-url")
    if not redis_url or not store_url:
        raise parsing.TypedError(
            "set HEADGRAFT_REDIS_URL and HEADGRAFT_STORE_URL, or start a `headgraft up` on "
            f"{home.path}"
        )
    environment = {
        **os.environ,
        "HEADGRAFT_REDIS_URL": redis_url,
        "HEADGRAFT_STORE_URL": store_url,
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, "-m", module, *options]
    os.execve(sys.executable, command, environment)  # noqa: S606  # no shell is wanted
