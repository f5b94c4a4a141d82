"""The page about the API: current, complete, and every line of its examples true."""

import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests import api_examples, api_page, checkpoints, features
from tests.api_examples import EXAMPLES, Example
from tests.processes import Processes
from tests.service.web.owned import document, operations

# Behind everything else that curl says, so that the examples need not ask for it.
SETTINGS = 'write-out = "\\n%{http_code}"\n'


@dataclass
class Session:
    """A shell's folder and variables, as they grow from example to example."""

    folder: Path
    url: str
    kept: dict[str, str] = field(default_factory=dict)

    def run(self, example: Example) -> tuple[int, str]:
        """Run an example; return the last call's status, and all that was said."""
        variable, lines = example.before
        if lines:
            self._keep(variable, self._say(lines))
        said = self._say(example.lines)
        self._keep(example.keeps, said)
        return int(said.rsplit("\n", 1)[-1]), said

    def _say(self, lines: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "HEADGRAFT_URL": self.url,
            **self.kept,
        }
        done = subprocess.run(
            ["bash", "-euc", lines],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{lines}\n{done.stderr}"
        return done.stdout

    def _keep(self, variable: str, said: str) -> None:
        if variable:
            self.kept[variable] = said.split('"id":"', 1)[1].split('"', 1)[0]


@pytest.fixture(scope="module")
def session(product: Processes, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Return a folder with all that the page says lies there."""
    folder = tmp_path_factory.mktemp("session")
    (folder / ".curlrc").write_text(SETTINGS)
    for name, content in api_examples.FILES.items():
        (folder / name).write_text(content)
    checkpoints.write(folder / "net.safetensors")
    features.write(folder / "pictures.safetensors")
    return Session(folder, product.url)


@pytest.fixture(scope="module")
def answers(session: Session) -> list[tuple[int, str]]:
    """Return what every example came to, run from the first to the last: they build on another."""
    found = []
    for example in EXAMPLES:
        try:
            found.append(session.run(example))
        except AssertionError as error:
            found.append((0, str(error)))
    return found


@pytest.mark.parametrize("number", range(len(EXAMPLES)), ids=[one.operation for one in EXAMPLES])
def test_an_example_should_do_what_the_page_says(
    answers: list[tuple[int, str]], number: int
) -> None:
    example, (status, said) = EXAMPLES[number], answers[number]

    assert status == example.status, said
    assert example.output in said


def test_a_line_that_fails_should_be_seen(session: Session) -> None:
    alive = EXAMPLES[0]
    assert session.run(replace(alive, lines=alive.lines.replace("healthz", "nowhere")))[0] == 404
    with pytest.raises(AssertionError, match="curl"):
        session.run(replace(alive, lines="curl -sS http://127.0.0.1:1/"))
    with pytest.raises(AssertionError, match="unbound variable"):
        session.run(replace(alive, lines="echo $NOBODYS"))


def test_every_call_should_have_an_example_that_the_document_knows() -> None:
    described = document()
    shown = {one.operation for one in EXAMPLES}

    assert {call.name for call in operations(described)} - shown == set(), "add to api_examples"
    assert shown - {call.name for call in operations(described)} == set()
    answers = {call.name: call.about["responses"] for call in operations(described)}
    for one in EXAMPLES:
        assert str(one.status) in answers[one.operation], one


def test_the_page_should_be_current() -> None:
    written = api_page.PAGE.read_text(encoding="utf-8")

    assert written == api_page.page(document()), "run python -m tests.api_page"


def test_a_change_of_the_document_should_be_seen_on_the_page() -> None:
    described: dict[str, Any] = document()
    before = api_page.page(described)
    described["components"]["schemas"]["ClassEntry"]["properties"]["name"]["maxLength"] = 201

    [line] = [line for line in api_page.page(described).split("\n") if line not in before]
    assert line.startswith("| `name` | string (1 to 201)")
