"""The service does what its OpenAPI document says: schemathesis makes thousands of requests of it.

The gate sends what the document's examples and bounds give, `make soak` random requests and
sequences of them as well. All checks are on. `sound_bodies` tells the generator what a JSON schema
cannot say.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from headgraft.service.local import redis_server
from tests.processes import Processes, eventually
from tests.service.conftest import KEYS
from tests.service.files import checkpoint, head_tensors, parts

ROOT = Path(__file__).parents[2]
# Not imported: only processes that send requests need the library.
HOOKS = "tests.service.sound_bodies"
HEAD_VARIABLE = "HEADGRAFT_TEST_HEAD"  # the id of an uploaded head of `NAMES`
NAMES = ["a seen class", "another seen class", "a third seen class"]
EXAMPLES = 40
LIMIT_SECONDS = 900


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Processes]:
    """Return an API with a key, and a worker, over a Redis of its own."""
    server = redis_server.start(tmp_path / "redis")
    environment = {
        "HEADGRAFT_API_KEYS": f"ada:{KEYS['ada']}",
        "HEADGRAFT_WEBHOOK_ALLOW": "127.0.0.0/8",
    }
    processes = Processes(tmp_path, server.url, environment)
    try:
        processes.start_api()
        processes.start_worker()
        yield processes
    finally:
        processes.stop()
        server.stop()


def configuration(folder: Path) -> Path:
    """Write down the key for the document's security scheme."""
    path = folder / "schemathesis.toml"
    path.write_text(f'[auth.openapi.key]\nbearer = "{KEYS["ada"]}"\n')
    return path


def kept_head(client: httpx.Client) -> str:
    """Upload the head that the hooks know of."""
    tensors = head_tensors(seen=len(NAMES))
    sent = parts({"class_names": NAMES}, checkpoint(tensors))
    response = client.post("/v1/heads", files=sent)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


@pytest.mark.timeout(LIMIT_SECONDS + 120)
@pytest.mark.parametrize(
    ("phases", "cases_min"),
    [
        pytest.param("examples,coverage", 1000, id="bounds"),
        pytest.param(
            "examples,coverage,fuzzing,stateful", 2000, id="all phases", marks=pytest.mark.soak
        ),
    ],
)
def test_the_service_should_do_what_its_document_says(
    served: Processes, tmp_path: Path, phases: str, cases_min: int
) -> None:
    headers = {"Authorization": f"Bearer {KEYS['ada']}"}
    with httpx.Client(base_url=served.url, headers=headers) as client:
        eventually(lambda: client.get("/v1/encoders").json()["data"], 60, "a worker is online")
        head = kept_head(client)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration(tmp_path))),
        *("run", f"{served.url}/openapi.json"),
        *("--checks", "all", "--phases", phases),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--request-timeout", "60"),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": HOOKS,
        HEAD_VARIABLE: head,
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    cases = re.search(r"^  (\d+) generated", done.stdout, re.MULTILINE)
    assert cases, done.stdout[-2000:]
    print(f"{cases[1]} cases")
    assert int(cases[1]) >= cases_min
    assert served_errors(served, cases_min) == []


def served_errors(served: Processes, requests_min: int) -> list[str]:
    """Return the log lines of requests that ended in a defect of ours."""
    lines = served.log("headgraft.service.server").read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(found) > requests_min
    return [line["path"] for line in found if line.get("status", 0) == 500]
