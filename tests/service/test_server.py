"""The server as a process: without torch, in a wrong environment, and what it documents."""

import subprocess
import sys
from typing import Any

import httpx

from tests.processes import Processes

WITHOUT_TORCH = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "models", "safetensors", "open_clip"}:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refusing())
import headgraft.service.server
from headgraft.service.app import create_app
from headgraft.service.config import ServiceSettings
create_app(ServiceSettings(redis_url="redis://nowhere", store_url="s3://bucket"))
assert "torch" not in sys.modules
"""


def test_the_service_should_come_up_where_torch_is_not_installed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_a_wrong_environment_should_end_the_server_with_one_clear_line() -> None:
    environment = {
        "HEADGRAFT_REDIS_URL": "redis://nowhere",
        "HEADGRAFT_STORE_URL": "s3://bucket",
        "HEADGRAFT_HOST": "0.0.0.0",
    }
    command = [sys.executable, "-m", "headgraft.service.server"]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "HEADGRAFT_API_KEYS" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_torch_should_be_mapped_into_the_running_server(open_api: Processes) -> None:
    server = next(one for one in open_api.started if one.poll() is None)
    with open(f"/proc/{server.pid}/maps") as maps:  # noqa: PTH123  # procfs
        assert "torch" not in maps.read()


def test_the_document_should_describe_every_call(api: httpx.Client) -> None:
    document: dict[str, Any] = api.get("/openapi.json").json()
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }

    assert sorted(operations) == [
        "cancelInjection",
        "createFeatures",
        "createHead",
        "createInjection",
        "createWebhook",
        "deleteFeatures",
        "deleteHead",
        "deleteInjection",
        "deleteWebhook",
        "downloadHead",
        "followInjection",
        "getFeatures",
        "getHead",
        "getInjection",
        "getWebhook",
        "inspectHead",
        "inspectReport",
        "isAlive",
        "isReady",
        "listDeliveries",
        "listEncoders",
        "listEvents",
        "listFeatures",
        "listHeads",
        "listInjections",
        "listMethods",
        "listWebhooks",
        "readReport",
        "rotateWebhook",
    ]
    for name, operation in operations.items():
        assert operation["summary"], name
        for status, response in operation["responses"].items():
            is_error = int(status) >= 400
            assert ("application/problem+json" in response.get("content", {})) == is_error, name
    bodies = operations["createInjection"]["requestBody"]["content"]
    assert set(bodies) == {"multipart/form-data", "application/json"}


def test_every_reference_of_the_document_should_lead_somewhere(api: httpx.Client) -> None:
    document: dict[str, Any] = api.get("/openapi.json").json()
    found: list[str] = []

    def visit(value: object) -> None:
        if isinstance(value, dict):
            found.extend(one for key, one in value.items() if key == "$ref")
            for one in value.values():
                visit(one)
        elif isinstance(value, list):
            for one in value:
                visit(one)

    visit(document)
    schemas = document["components"]["schemas"]
    assert {"InjectionRequest", "HeadRequest", "ProblemDocument"} <= set(schemas)
    assert {one.rpartition("/")[2] for one in found} <= set(schemas)
