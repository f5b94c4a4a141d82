"""How large a checkpoint may be, for each key, whatever the request says of its length."""

import json
from collections.abc import Iterator
from itertools import chain, repeat

import httpx
import pytest

from tests.processes import Processes
from tests.sending import CONTENT_TYPE, MIB, part, part_head
from tests.service.files import checkpoint, head_tensors, injection, problem, stored, submit
from tests.service.uploads.feature_files import labels, pictures, send

ADA, BOB, EVE = (f"the-key-of-{name}-who-sends" for name in ("ada", "bob", "eve"))
GENERAL = 2 * MIB
EACH = pytest.mark.parametrize(
    ("key", "limit"), [(ADA, MIB), (BOB, 4 * MIB), (EVE, GENERAL)], ids=["ada", "bob", "eve"]
)


@pytest.fixture(scope="module")
def limited(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Return a server that takes 2 MiB from anybody, but 1 MiB from ada and 4 MiB from bob."""
    environment = {
        "HEADGRAFT_API_KEYS": f"ada:{ADA},bob:{BOB},eve:{EVE}",
        "HEADGRAFT_UPLOAD_BYTES_MAX": str(GENERAL),
        "HEADGRAFT_UPLOAD_BYTES_MAX_PER_KEY": f"ada:{MIB},bob:{4 * MIB}",
        "HEADGRAFT_REQUEST_BYTES_MAX": str(MIB),
    }
    processes = Processes(tmp_path_factory.mktemp("limited"), redis_url, environment)
    processes.start_api()
    yield processes
    processes.stop()


def client_of(processes: Processes, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=processes.url, headers=headers, timeout=30)


def of_size(size: int) -> bytes:
    """Return a sound checkpoint of so many bytes."""
    excess = len(_filled(size)) - size
    file = _filled(size - excess)
    assert len(file) == size
    return file


def _filled(count: int) -> bytes:
    return checkpoint({"filler": ("U8", (count,), bytes(count)), **head_tensors()})


@EACH
@pytest.mark.parametrize("to", ["/v1/injections", "/v1/heads"])
def test_each_key_should_have_its_own_limit_to_the_byte(
    limited: Processes, key: str, limit: int, to: str
) -> None:
    asked = injection() if to == "/v1/injections" else {"class_names": injection()["class_names"]}
    with client_of(limited, key) as client:
        taken = submit(client, asked, of_size(limit), to=to)
        refused = submit(client, asked, of_size(limit + 1), to=to)

    assert taken.status_code in (201, 202), taken.text
    assert f"{limit} bytes" in problem(refused, 413, "too_large")["detail"]


@EACH
def test_a_body_that_tells_no_length_should_be_counted_as_it_comes(
    limited: Processes, key: str, limit: int
) -> None:
    """Nor does the start of a torch file tell how long it will be."""
    start = part("request", json.dumps(injection()).encode()) + part_head("checkpoint")
    endless = chain([start + b"PK\x03\x04"], repeat(bytes(64 * 1024), 1000))
    before = stored(limited.store_folder)

    with client_of(limited, key) as client:
        headers = {"Content-Type": CONTENT_TYPE}
        refused = client.post("/v1/injections", content=endless, headers=headers)

    assert f"{limit} bytes" in problem(refused, 413, "too_large")["detail"]
    assert stored(limited.store_folder) == before


@EACH
def test_features_should_have_the_same_limits(limited: Processes, key: str, limit: int) -> None:
    room = (limit - len(checkpoint({"features": pictures(1, 16), "labels": labels([0])}))) // 72
    with client_of(limited, key) as client:
        for count, status in ((room, 201), (limit // 64 + 1, 413)):
            tensors = {"features": pictures(count, 16), "labels": labels([0] * count)}
            assert send(client, checkpoint(tensors)).status_code == status
