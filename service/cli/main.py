"""The command line `headgraft`: its commands and their arguments."""

import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from headgraft import HeadgraftError, client
from headgraft.models.errors import InjectionError
from headgraft.service.cli import doctor, inject_options, keys, parsing, programs
from headgraft.service.cli import evaluate as cli_evaluate
from headgraft.service.cli import features as cli_features
from headgraft.service.local import state, up
from headgraft.service.local.redis_server import ServerError
from headgraft.service.web.created_keys import KeyringError
from headgraft.workers.environment import ConfigError
from headgraft.workers.formats.header import HeaderError
from headgraft.workers.ledger.scripts import LedgerError
from headgraft.workers.names.class_list import NamesError

USER_ERRORS = (
    ConfigError,
    HeaderError,
    HeadgraftError,
    InjectionError,
    KeyringError,
    LedgerError,
    NamesError,
    ServerError,
    parsing.TypedError,
    state.StateError,
    up.UpError,
    OSError,
)

app = typer.Typer(
    help="Graft new classes onto a trained classifier, without images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
encoders_app = typer.Typer(help="Text encoders.", no_args_is_help=True)
app.add_typer(encoders_app, name="encoders")
app.add_typer(keys.app, name="keys")

StateOption = Annotated[
    Path | None, typer.Option("--state", help="State folder, instead of HEADGRAFT_STATE.")
]
UrlOption = Annotated[
    str | None, typer.Option("--url", envvar="HEADGRAFT_URL", help="URL of the service.")
]


@app.command("up")
def run_up(
    host: Annotated[str, typer.Option(envvar="HEADGRAFT_HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="HEADGRAFT_PORT", help="0: any free one.")] = 8000,
    folder: StateOption = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start no worker.")] = False,
) -> None:
    """Run Redis (unless HEADGRAFT_REDIS_URL names one), API and worker on this machine."""
    options = up.Options(_state(folder), host, port, with_worker=not no_worker)
    if not up.Up(options, os.environ, _say).run():
        _fail("killed at the second signal")


app.command("worker")(programs.worker)
app.command("gc")(programs.gc)


app.command("inject")(inject_options.inject)
app.command("evaluate")(cli_evaluate.evaluate)
app.command("features")(cli_features.features)


@app.command()
def jobs(
    url: UrlOption = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    after: Annotated[str | None, typer.Option(help="The last ID of the page before.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="Only these: queued, failed ...")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="Only with these: key=value.")] = None,
) -> None:
    """List injections, newest first."""
    wanted = parsing.parse_metadata(metadata or [])
    table = Table("id", "status", "method", "classes", "progress", "created", box=None)
    table.columns[0].no_wrap = True
    with _client(url) as service:
        found = service.injections(limit=limit, after=after, status=status or (), metadata=wanted)
        for one in found:
            classes = f"{one.seen_count or '?'}+{one.unseen_count}"
            method = (one.result or one).method
            progress = f"{one.progress:.0%}"
            table.add_row(one.id, one.status, method, classes, progress, one.created_at)
    Console().print(table)


@app.command()
def cancel(injection: Annotated[str, typer.Argument(metavar="ID")], url: UrlOption = None) -> None:
    """Cancel a queued or running injection."""
    with _client(url) as service:
        _say(f"{injection} {service.cancel(injection).status}")


@app.command()
def delete(injection: Annotated[str, typer.Argument(metavar="ID")], url: UrlOption = None) -> None:
    """Delete an injection that has ended, with its files."""
    with _client(url) as service:
        service.delete(injection)
    _say(f"{injection} deleted")


@app.command()
def report(
    injection: Annotated[str, typer.Argument(metavar="ID")],
    page: Annotated[
        Path | None, typer.Option("--html", help="Write the page to look at into this new file.")
    ] = None,
    url: UrlOption = None,
) -> None:
    """Print the report of an injection as JSON, or save it as a page to look at."""
    with _client(url) as service:
        if page is None:
            document = service.report(injection).model_dump(mode="json", exclude_unset=True)
            _say(json.dumps(document, indent=1))
            return
        text = service.report_html(injection)
    with page.open("x", encoding="utf-8") as file:
        file.write(text)
    _say(str(page))


@app.command()
def methods(url: UrlOption = None) -> None:
    """List the methods with their settings and defaults."""
    with _client(url) as service:
        for one in service.methods():
            _say(f"{one.name}: {one.summary}")
            for name, about in one.settings.get("properties", {}).items():
                _say(f"  {name}={about.get('default')}  {about.get('description', '')}")


@app.command("doctor")
def run_doctor(folder: StateOption = None) -> None:
    """Ask every part whether it is there; exit 1 where one is missing."""
    is_ok = True
    for finding in doctor.examine(_state(folder), os.environ):
        is_ok &= finding.is_ok
        _say(f"{'ok' if finding.is_ok else 'MISSING':<8} {finding.part:<8} {finding.text}")
    if not is_ok:
        raise typer.Exit(1)


@encoders_app.command("pull")
def pull_encoder(
    model: Annotated[str, typer.Argument(metavar="MODEL:TAG", help="An open_clip model.")],
    name: Annotated[str | None, typer.Option(help="Short name in requests.")] = None,
    folder: Annotated[
        Path | None, typer.Option(envvar="HEADGRAFT_ENCODERS", help="The encoders' folder.")
    ] = None,
) -> None:
    """Download a text encoder; the one command that uses the network."""
    up.require_torch()
    from headgraft.models.embeddings.pull import pull

    encoder = pull(model, folder or _state(None).encoders, name)
    _say(f"{encoder.name}: {encoder.dimension} numbers, sha256 {encoder.digest}")


@app.command()
def demo() -> None:
    """Hide a hundred classes of a real head, inject them, and compare."""
    from headgraft.service.demo import demo as demonstration

    raise typer.Exit(demonstration.main())


@app.command()
def version() -> None:
    """Print the version."""
    _say(importlib.metadata.version("headgraft"))


def main() -> int:
    """Run a command; what the user did wrong is one line on stderr and exit code 1."""
    try:
        app()
    except USER_ERRORS as error:
        sys.stderr.write(f"headgraft: {_sentence(error)}\n")
        return 1
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _state(folder: Path | None) -> state.StateFolder:
    return state.StateFolder(folder.absolute()) if folder else state.locate(os.environ)


def _client(url: str | None) -> client.Headgraft:
    return client.Headgraft(url or _state(None).running() or client.DEFAULT_URL, _key())


def _key() -> str | None:
    return os.environ.get("HEADGRAFT_API_KEY")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fail(sentence: str) -> NoReturn:
    raise parsing.TypedError(sentence)
