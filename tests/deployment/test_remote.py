"""Workers of other machines: TLS, a user of their own, and jobs done through both."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from headgraft.service.local import redis_server
from tests.deployment import compose, programs
from tests.deployment.compose import NODE, REMOTE_ACCESS, REMOTE_WORKERS
from tests.deployment.conftest import VARIABLES
from tests.deployment.outside import Outside, Part
from tests.deployment.relay import TlsRelay
from tests.deployment.test_commands import inject

SCRIPT = compose.ROOT / "docker" / "certificates.sh"
SHARED_FOLDER = {"HEADGRAFT_STORE_URL": "file:///var/lib/headgraft/artifacts"}


def make_certificates(address: str, folder: Path) -> Path:
    """Run the script and return its folder."""
    subprocess.run(["bash", str(SCRIPT), address, str(folder)], check=True, capture_output=True)
    return folder


def tls_server() -> str | None:
    """Return a server on PATH that speaks TLS, or None: the wheel's is built without."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            refused = subprocess.run(
                [found, "--port", "0", "--tls-port", "1", "--tls-cert-file", "/none"],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
            if "Failed to configure TLS" in refused.stdout:
                return found
    return None


def without_certificates(document: compose.Document) -> compose.Document:
    """Take the mounts of certificates out: those of a test lie in place already."""
    for one in document["services"].values():
        if "volumes" in one:
            one["volumes"] = [m for m in one["volumes"] if "certificates" not in str(m)]
    return document


def node_with_access(variables: dict[str, str]) -> compose.Document:
    """Return the node's two files as one."""
    return without_certificates(compose.load([NODE, REMOTE_ACCESS], {**VARIABLES, **variables}))


@pytest.fixture
def remote_node(host: Outside, tmp_path: Path) -> compose.Document:
    """Return the node with remote access, its certificates where it mounts them."""
    made = make_certificates("192.0.2.1", tmp_path / "certificates")
    shutil.copytree(made, host.folder / "etc" / "headgraft")
    return node_with_access(SHARED_FOLDER)


@pytest.fixture
def redis_over_tls(host: Outside, remote_node: compose.Document) -> Iterator[Part]:
    """Start the node's Redis; where its build has no TLS, a relay with its certificate ends it."""
    server = tls_server()
    if server:
        (host.folder / "bin").mkdir(exist_ok=True)
        (host.folder / "bin" / "valkey-server").symlink_to(server)
        yield host.start_healthy(remote_node, "redis")
        return
    part = host.start_healthy(remote_node, "redis", leave_out="--tls-")
    folder = host.folder / "etc" / "headgraft"
    plain, secure = host.ports["6379"], host.ports["6380"]
    with TlsRelay(secure, plain, folder / "server.crt", folder / "server.key"):
        yield part


def client(host: Outside, words: str = "remote-worker:remotepassword") -> "redis.Redis":
    """Return a client that trusts the authority that the script made."""
    authority = host.folder / "etc" / "headgraft" / "ca.crt"
    url = f"rediss://{words}@127.0.0.1:{host.ports['6380']}/0?ssl_ca_certs={authority}"
    return redis.Redis.from_url(url)


def start_remote_worker(host: Outside, variables: dict[str, str]) -> Part:
    """Start the other machine's worker."""
    remote = compose.load([REMOTE_WORKERS], {**VARIABLES, **variables})
    return host.start_healthy(without_certificates(remote), "worker")


@pytest.mark.usefixtures("redis_over_tls")
def test_a_remote_worker_should_do_a_job_over_tls_as_its_own_user(
    host: Outside, remote_node: compose.Document
) -> None:
    host.start_healthy(remote_node, "api")
    worker = start_remote_worker(host, SHARED_FOLDER)
    assert "rediss://remote-worker:" in worker.environment["HEADGRAFT_REDIS_URL"]
    assert inject(f"http://127.0.0.1:{host.ports['8000']}", host)["status"] == "succeeded"
    worker.stop()
    assert worker.process.returncode == 0


@pytest.mark.usefixtures("redis_over_tls")
def test_a_remote_worker_should_do_a_job_with_the_nodes_store_over_tls(
    host: Outside,
) -> None:
    document = node_with_access({})
    host.start_healthy(document, "s3")
    assert host.start(document, "s3-bucket").process.wait(60) == 0
    host.start_healthy(document, "api")
    worker = start_remote_worker(host, {})
    assert worker.environment["HEADGRAFT_STORE_URL"] == "s3://headgraft/artifacts"
    assert worker.environment["AWS_ENDPOINT"] == f"https://127.0.0.1:{host.ports['8443']}"
    assert inject(f"http://127.0.0.1:{host.ports['8000']}", host)["status"] == "succeeded"


@pytest.mark.usefixtures("redis_over_tls")
@pytest.mark.parametrize(
    "words",
    [
        ("SET", "others", "1"),
        ("MULTI",),
        ("SUBSCRIBE", "headgraft:wake"),
        ("FLUSHALL",),
        ("ACL", "LIST"),
    ],
)
def test_a_remote_worker_should_be_refused_what_is_not_its_work(
    host: Outside, words: tuple[str, ...]
) -> None:
    with client(host) as remote, pytest.raises(redis.exceptions.NoPermissionError):
        remote.execute_command(*words)


@pytest.mark.usefixtures("redis_over_tls")
def test_an_unknown_authority_should_not_be_believed(host: Outside, tmp_path: Path) -> None:
    other = make_certificates("192.0.2.1", tmp_path / "other")
    shutil.copy(other / "ca.crt", host.folder / "etc" / "headgraft" / "ca.crt")
    with client(host) as remote, pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY"):
        remote.ping()


def test_the_tls_command_should_be_understood_by_a_server_with_tls(
    host: Outside, remote_node: compose.Document
) -> None:
    server = tls_server()
    if server is None:
        version = redis_server.find_binary()[1]
        programs.give_up(
            f"{version} has no TLS, nor has a server on PATH: apt-get install redis-server"
        )
    (host.folder / "bin").mkdir(exist_ok=True)
    (host.folder / "bin" / "valkey-server").symlink_to(server)
    host.start_healthy(remote_node, "redis")
    with client(host) as remote:
        assert remote.ping()


@pytest.mark.parametrize("address", ["10.0.0.5", "fd00::5", "node.internal"])
def test_certificates_should_name_the_address_and_keep_no_authority_key(
    tmp_path: Path, address: str
) -> None:
    made = make_certificates(address, tmp_path / "certificates")
    assert {file.name for file in made.iterdir()} == {"ca.crt", "server.crt", "server.key"}
    assert made.stat().st_mode & 0o077 == 0
    kind = "host" if address.startswith("node") else "ip"
    check = ["openssl", "x509", "-in", str(made / "server.crt"), "-noout", f"-check{kind}", address]
    said = subprocess.run(check, capture_output=True, text=True, check=True).stdout
    assert "does match certificate" in said
    chain = ["openssl", "verify", "-CAfile", str(made / "ca.crt"), str(made / "server.crt")]
    subprocess.run(chain, check=True, capture_output=True)
