"""The profile s3: SeaweedFS under the compose file's commands, and a whole job through it."""

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import obstore
import psutil
import pytest
import torch
from obstore.store import S3Store
from safetensors.torch import load_file

from headgraft.workers import ownership
from headgraft.workers.process.janitor import Janitor
from headgraft.workers.store import CHUNK_BYTES, Store, StoreError
from tests import checkpoints
from tests.deployment import compose, programs
from tests.deployment.compose import NODE
from tests.deployment.conftest import API_KEY, VARIABLES
from tests.deployment.outside import SECOND_PORT, Outside, Part
from tests.ledger import Ledger
from tests.processes import eventually

STORE = "s3://headgraft/artifacts"
BIG_BYTES = 40_000_000


@pytest.fixture
def s3_node() -> compose.Document:
    """Return the node with its store in the profile's bucket."""
    return compose.load([NODE], {**VARIABLES, "HEADGRAFT_STORE_URL": STORE})


@pytest.fixture
def s3(host: Outside, s3_node: compose.Document) -> Part:
    """Start the store, and make its bucket."""
    part = host.start_healthy(s3_node, "s3")
    assert "created bucket headgraft" in make_bucket(host, s3_node)
    return part


@pytest.fixture
def as_headgraft(
    host: Outside, s3_node: compose.Document, s3: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give this process the API's own way to the store, once the store keeps what it is sent."""
    for name, value in compose.service(s3_node, "api")["environment"].items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, host.put(value))
    once_its_parts_have_met(lambda: Store(STORE).write("probe/file", b"1"))
    once_its_parts_have_met(lambda: Store(STORE).delete("probe/"))


def once_its_parts_have_met(call: Callable[[], object]) -> None:
    """Ask the store until it does not answer 500, as it does for a moment once it is healthy."""

    def answers() -> bool:
        try:
            call()
        except StoreError as error:
            if re.search(r"\b50[03]\b", str(error)):
                return False
            raise
        return True

    eventually(answers, 120, "the store's parts have met")


def make_bucket(host: Outside, document: compose.Document) -> str:
    """Run the service that makes the bucket to its end, and return all it has printed."""
    part = host.start(document, "s3-bucket")
    assert part.process.wait(60) == 0, part.log.read_text()
    return part.log.read_text()


def address(host: Outside) -> str:
    return f"http://127.0.0.1:{host.ports['8333']}"


def big_checkpoint(folder: Path) -> Path:
    """Write a checkpoint of several upload parts, of numbers that do not compress."""
    generator = torch.Generator().manual_seed(3)
    large = torch.randn(BIG_BYTES // 4, generator=generator)
    return checkpoints.write(folder / "big.safetensors", {**checkpoints.tensors(), "large": large})


def run_job(url: str, checkpoint: Path) -> bytes:
    """Upload, wait and download the extended file."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    request = json.dumps(checkpoints.request())
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        with checkpoint.open("rb") as file:
            files: Any = {"request": (None, request), "checkpoint": file}
            reply = client.post("/v1/injections", files=files)
        assert reply.status_code == 202, reply.text
        place = f"/v1/injections/{reply.json()['id']}"
        ended = {"succeeded", "failed"}
        eventually(lambda: client.get(place).json()["status"] in ended, 120, "the job ends")
        head = client.get(f"{place}/head")
        assert head.status_code == 200, client.get(place).text
        return head.content


@pytest.mark.usefixtures("s3", "as_headgraft")
def test_a_job_should_run_whole_over_the_store(
    host: Outside, s3_node: compose.Document, tmp_path: Path
) -> None:
    for name in ("redis", "api", "worker-cpu"):
        host.start_healthy(s3_node, name)
    checkpoint = big_checkpoint(tmp_path)

    extended = run_job(f"http://127.0.0.1:{host.ports['8000']}", checkpoint)

    (tmp_path / "extended.safetensors").write_bytes(extended)
    before, after = load_file(checkpoint), load_file(tmp_path / "extended.safetensors")
    assert torch.equal(after["large"], before["large"])
    assert torch.equal(after["fc.weight"][:20], before["fc.weight"])
    assert after["fc.weight"].shape == (23, 16)
    assert not (host.folder / "var/lib/headgraft/artifacts").exists()
    objects = {path: Store(STORE).read(path) for path in Store(STORE).paths("tester")}
    digests = {hashlib.sha256(content).digest() for content in objects.values()}
    assert hashlib.sha256(extended).digest() in digests
    assert hashlib.sha256(checkpoint.read_bytes()).digest() in digests


@pytest.mark.usefixtures("s3", "as_headgraft")
def test_a_body_of_several_parts_should_arrive_as_it_was_sent(
    host: Outside, s3_node: compose.Document, tmp_path: Path
) -> None:
    for name in ("redis", "api"):
        host.start_healthy(s3_node, name)
    checkpoint = big_checkpoint(tmp_path)
    url, headers = f"http://127.0.0.1:{host.ports['8000']}", {"Authorization": f"Bearer {API_KEY}"}
    request = json.dumps({"class_names": checkpoints.class_names(20)})
    with checkpoint.open("rb") as file:
        files: Any = {"request": (None, request), "checkpoint": file}
        reply = httpx.post(f"{url}/v1/heads", files=files, headers=headers, timeout=60)

    assert reply.status_code == 201, reply.text
    content = checkpoint.read_bytes()
    assert reply.json()["sha256"] == hashlib.sha256(content).hexdigest()
    [path] = [path for path in Store(STORE).paths("tester") if "checkpoint" in path]
    assert Store(STORE).read(path) == content
    tag = str(obstore.head(S3Store.from_url(STORE), path)["e_tag"])
    assert tag.strip('"').endswith(f"-{-(-len(content) // CHUNK_BYTES)}"), tag


@pytest.mark.usefixtures("s3", "as_headgraft")
def test_what_is_deleted_should_be_gone_and_what_has_no_record_cleaned_away(
    host: Outside, s3_node: compose.Document
) -> None:
    host.start_healthy(s3_node, "redis")
    store = Store(STORE)
    for path in ("tester/inj_1/token/head", "tester/inj_1/token/report", "tester/inj_2/token/head"):
        store.write(path, b"1")
    store.delete("tester/inj_1/")
    assert list(store.paths("tester/")) == ["tester/inj_2/token/head"]

    url = f"redis://headgraft:nodepassword@127.0.0.1:{host.ports['6379']}/0"
    ledger = Ledger(url)
    ownership.adopt(ledger, store)
    Janitor(ledger, store, age_seconds=-60).clean()
    ledger.client.close()
    assert list(store.paths("tester/")) == []


@pytest.mark.usefixtures("s3", "as_headgraft")
def test_strangers_should_get_nothing(host: Outside) -> None:
    Store(STORE).write("tester/file", b"1")
    for path in ("/", "/headgraft", "/headgraft?list-type=2", "/headgraft/artifacts/tester/file"):
        assert httpx.get(address(host) + path).status_code == 403, path
    assert httpx.put(f"{address(host)}/headgraft/mine", content=b"1").status_code == 403
    assert httpx.put(f"{address(host)}/mine").status_code == 403
    with pytest.raises(StoreError, match="403"):
        Store("s3://other/artifacts").write("file", b"1")


@pytest.mark.usefixtures("s3", "as_headgraft")
@pytest.mark.parametrize(
    ("name", "value"), [("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "others")]
)
def test_a_wrong_key_should_be_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="403"):
        Store(STORE).check()


@pytest.mark.usefixtures("s3")
def test_the_port_beside_the_stores_own_should_give_nobody_a_key(
    host: Outside, tmp_path: Path
) -> None:
    # gRPC as bytes: PutIdentity of a name, a key with its secret, and an action.
    key = field(1, b"thief") + field(2, b"secret")
    identity = field(1, b"thief") + field(2, key) + field(3, b"Admin")
    message = field(1, identity)
    (tmp_path / "call").write_bytes(b"\0" + len(message).to_bytes(4) + message)
    port = host.ports["8333"] + SECOND_PORT
    words = [programs.find("curl", package="curl"), "--silent", "--http2-prior-knowledge"]
    words += ["--header", "content-type: application/grpc", "--header", "te: trailers"]
    words += ["--data-binary", f"@{tmp_path}/call", "--dump-header", "-", "--max-time", "10"]
    words += [f"http://127.0.0.1:{port}/messaging_pb.SeaweedS3IamCache/PutIdentity"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "grpc-status: 16" in said, said  # unauthenticated


def field(number: int, content: bytes) -> bytes:
    """Return a protocol buffer's field of bytes, shorter than 128."""
    return bytes([number << 3 | 2, len(content)]) + content


def test_an_api_with_a_wrong_secret_should_not_be_ready(
    host: Outside, s3_node: compose.Document, s3: Part
) -> None:
    host.start_healthy(s3_node, "redis")
    compose.service(s3_node, "api")["environment"]["AWS_SECRET_ACCESS_KEY"] = "wrong"
    host.start(s3_node, "api")
    url = f"http://127.0.0.1:{host.ports['8000']}"
    eventually(lambda: answers(f"{url}/healthz"), 60, "the API answers")
    assert httpx.get(f"{url}/readyz", timeout=30).status_code == 503


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_a_store_without_a_secret_should_not_start(host: Outside) -> None:
    part = host.start(compose.load([NODE], {**VARIABLES, "AWS_SECRET_ACCESS_KEY": ""}), "s3")
    assert part.process.wait(60) != 0
    assert "AWS_SECRET_ACCESS_KEY is not set" in part.log.read_text()


def test_nothing_should_listen_beyond_the_container_but_s3(
    host: Outside, s3_node: compose.Document
) -> None:
    command = compose.service(s3_node, "s3")["command"]
    place = command.index("-s3.ip.bind=0.0.0.0")
    # Elsewhere every address becomes 127.0.0.1; here what is open to others needs one of its own.
    command[place] = "-s3.ip.bind=127.0.0.2"
    part = host.start(s3_node, "s3")
    open_port = host.ports["8333"]
    eventually(lambda: answers(f"http://127.0.0.2:{open_port}/healthz"), 60, "the store answers")
    heard = {
        (one.laddr.ip, one.laddr.port)
        for one in psutil.Process(part.process.pid).net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    }
    beyond = {port for ip, port in heard if ip != "127.0.0.1"}
    assert beyond == {open_port, open_port + SECOND_PORT}


def test_the_store_should_stop_in_time_and_keep_its_objects(
    host: Outside, s3_node: compose.Document, s3: Part, as_headgraft: None
) -> None:
    Store(STORE).write("tester/file", b"kept")
    assert s3.stop() < s3.grace_seconds
    assert s3.process.returncode == 0, s3.log.read_text()[-2000:]
    assert s3.check() != 0
    host.start_healthy(s3_node, "s3")
    assert "bucket headgraft is there" in make_bucket(host, s3_node)
    once_its_parts_have_met(lambda: Store(STORE).read("tester/file"))
    assert Store(STORE).read("tester/file") == b"kept"
