"""Every command of the node's compose file and images, run outside a container."""

import json
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests import checkpoints
from tests.deployment import compose, installed, programs
from tests.deployment.conftest import API_KEY, VARIABLES
from tests.deployment.dockerfiles import API, FILES
from tests.deployment.outside import Outside
from tests.processes import eventually

OURS = ("redis", "api", "worker-cpu")
SIGTERM_EXIT = -15  # the HTTP server ends by the signal itself, once it has stopped
SCRAPED_SECONDS = 60.0  # a few intervals of prometheus.yml
REDIS_URL = "redis://headgraft:nodepassword@127.0.0.1:{port}/0"


def inject(url: str, folder_of: Outside) -> dict[str, Any]:
    """Upload a small checkpoint with an API key, wait, and return the ended injection."""
    client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=60)
    checkpoint = checkpoints.write(folder_of.folder / "head.safetensors")
    with client, checkpoint.open("rb") as file:
        body = json.dumps(checkpoints.request())
        files: Any = {"request": (None, body), "checkpoint": file}
        reply = client.post("/v1/injections", files=files)
        assert reply.status_code == 202, reply.text
        place = f"/v1/injections/{reply.json()['id']}"
        eventually(
            lambda: client.get(place).json()["status"] in {"succeeded", "failed"}, 120, "it ends"
        )
        ended: dict[str, Any] = client.get(place).json()
        head = client.get(f"{place}/head")
        assert head.status_code == 200, head.text
    return ended


def test_the_whole_node_should_come_up_do_a_job_and_stop_in_time(
    host: Outside, node: compose.Document
) -> None:
    parts = {name: host.start_healthy(node, name) for name in OURS}
    url = f"http://127.0.0.1:{host.ports['8000']}"
    assert httpx.get(f"{url}/v1/injections").status_code == 401
    assert inject(url, host)["status"] == "succeeded"
    assert (host.folder / "var/lib/headgraft/artifacts").is_dir()
    for name in reversed(OURS):
        seconds = parts[name].stop()
        assert parts[name].process.returncode in (0, SIGTERM_EXIT), parts[name].log.read_text()
        assert seconds < parts[name].grace_seconds
        assert parts[name].check() != 0, f"{name}'s health check is content with nothing"


def test_every_service_should_be_one_that_a_test_starts(node: compose.Document) -> None:
    on_gpu = {"worker"}  # the same command as worker-cpu; runs in test_remote, too
    store = {"s3", "s3-bucket"}  # in test_s3
    assert set(node["services"]) == {*OURS, *on_gpu, *store, "prometheus"}


def test_the_doctor_should_say_which_extra_brings_what_is_missing(
    wheel: Path, tmp_path: Path
) -> None:
    environment = installed.install(API, wheel, tmp_path / "environment")
    (installed.site(environment) / "uvicorn").unlink()
    [about] = installed.site(environment).glob("uvicorn-*.dist-info")
    about.unlink()
    said = subprocess.run(
        [environment / "bin" / "headgraft", "doctor", "--state", tmp_path],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 1
    lines = [" ".join(line.split()) for line in said.stdout.splitlines()]
    assert "MISSING package uvicorn is missing: pip install 'headgraft[service]'" in lines
    [torch] = [line for line in lines if "package torch " in line]
    assert "is not installed; only workers need it: pip install 'headgraft[worker]'" in torch
    [timm] = [line for line in lines if "package timm" in line]
    assert (
        "only workers and `headgraft features` need it: pip install 'headgraft[pictures]'" in timm
    )
    assert [line for line in lines if "redis" in line] == [f"ok package redis {version('redis')}"]
    assert not [line for line in lines if "package pytest" in line or "efficientnet" in line]


@pytest.mark.parametrize("image", FILES, ids=lambda path: path.name)
def test_the_commands_should_run_the_package_as_the_image_installs_it(
    images: dict[Path, Path], image: Path
) -> None:
    python = images[image] / "bin" / "python"
    module = "headgraft.workers.ledger.ledger"
    words = [str(python), "-c", f"import {module}; print({module}.__file__)"]
    said = subprocess.run(words, cwd="/", capture_output=True, text=True, check=True)
    assert Path(said.stdout.strip()).is_relative_to(images[image])


def test_the_operators_command_should_be_in_the_image_of_the_api(
    host: Outside, node: compose.Document
) -> None:
    """`docker compose exec api headgraft keys create OWNER`, as docker/example.env has it."""
    host.start_healthy(node, "redis")
    part = host.start_healthy(node, "api")
    said = subprocess.run(
        ["headgraft", "keys", "create", "ada"],
        env=part.environment,
        cwd=part.folder,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    key = said.stdout.split()[-1]
    url = f"http://127.0.0.1:{host.ports['8000']}/v1/injections"
    reply = httpx.get(url, headers={"Authorization": f"Bearer {key}"})
    assert reply.status_code == 200, said.stdout


def test_the_gpu_service_should_run_the_same_command_as_the_cpu_service(
    node: compose.Document,
) -> None:
    on_gpu, on_cpu = (compose.service(node, name) for name in ("worker", "worker-cpu"))
    assert on_gpu["build"] == on_cpu["build"]
    assert "command" not in on_gpu
    assert "command" not in on_cpu


def test_an_api_without_keys_should_not_start(host: Outside, node: compose.Document) -> None:
    compose.service(node, "api")["environment"]["HEADGRAFT_API_KEYS"] = ""
    compose.service(node, "api")["environment"]["HEADGRAFT_HOST"] = "192.168.0.1"
    part = host.start(node, "api")
    assert part.process.wait(60) == 2
    assert "without HEADGRAFT_API_KEYS" in part.log.read_text()


def test_prometheus_should_find_the_metrics_where_it_looks(
    host: Outside, node: compose.Document
) -> None:
    programs.find("prometheus", package="prometheus")
    host.start_healthy(node, "redis")
    host.start_healthy(node, "api")
    part = host.start_healthy(node, "prometheus")
    url = f"http://127.0.0.1:{host.ports['9090']}/api/v1"

    def has_scraped() -> bool:
        answer = httpx.get(f"{url}/query", params={"query": "headgraft_redis_up"}).json()
        return bool(answer["data"]["result"])

    eventually(has_scraped, SCRAPED_SECONDS, "prometheus has scraped the API")
    targets = httpx.get(f"{url}/targets").json()["data"]["activeTargets"]
    assert [(one["labels"]["job"], one["health"]) for one in targets] == [("headgraft", "up")]
    assert targets[0]["labels"]["instance"] == f"127.0.0.1:{host.ports['9100']}"
    assert part.stop() < part.grace_seconds
    assert part.process.returncode == 0
    assert (host.folder / "prometheus" / "wal").is_dir()
    assert part.check() != 0


def test_redis_should_keep_its_data_over_a_restart(host: Outside, node: compose.Document) -> None:
    part = host.start_healthy(node, "redis")
    with redis.Redis.from_url(REDIS_URL.format(port=host.ports["6379"])) as client:
        client.set("headgraft:kept", "yes")
    part.stop()
    host.start_healthy(node, "redis")
    with redis.Redis.from_url(REDIS_URL.format(port=host.ports["6379"])) as client:
        assert client.get("headgraft:kept") == b"yes"


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("", ("PING",)),
        ("headgraft:wrong@", ("PING",)),
        ("headgraft:nodepassword@", ("SET", "others:key", "1")),
        ("headgraft:nodepassword@", ("PUBLISH", "others", "1")),
        ("headgraft:nodepassword@", ("FLUSHALL",)),
        ("headgraft:nodepassword@", ("CONFIG", "GET", "*")),
        ("headgraft:nodepassword@", ("ACL", "LIST")),
        ("headgraft:nodepassword@", ("KEYS", "*")),
    ],
)
def test_redis_should_refuse_strangers_and_what_is_not_ours(
    host: Outside, node: compose.Document, user: str, words: tuple[str, ...]
) -> None:
    host.start_healthy(node, "redis")
    url = f"redis://{user}127.0.0.1:{host.ports['6379']}/0"
    with (
        redis.Redis.from_url(url) as client,
        pytest.raises((redis.AuthenticationError, redis.exceptions.NoPermissionError)),
    ):
        client.execute_command(*words)


def test_no_password_should_stand_in_a_command(node: compose.Document) -> None:
    remote = compose.load([compose.NODE, compose.REMOTE_ACCESS], VARIABLES)
    for document in (node, remote):
        for one in document["services"].values():
            words = [*one.get("command", []), *one.get("healthcheck", {}).get("test", [])]
            assert not [w for w in words if any(s in w for s in VARIABLES.values() if "pass" in s)]
