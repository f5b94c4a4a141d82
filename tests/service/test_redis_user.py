"""The scripts under the user that the compose file gives the service: its own keys, no more."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from headgraft.service.uploads import repository
from headgraft.service.web import created_keys
from headgraft.service.web.key_limits import KeyLimits, count
from headgraft.service.webhooks import records
from headgraft.service.webhooks.records import Webhook
from headgraft.workers.jobs.spec import HeadRecord
from headgraft.workers.ledger.quota import Reservation
from tests.documents import head_record
from tests.ledger import Ledger
from tests.service.own_redis import redis_url
from tests.workers.ledger.test_ledger import begin, create

__all__ = ["redis_url"]

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
URL = "https://93.184.215.14/"
NAME, PASSWORD = "limited", "a-password"


@pytest.fixture
def limited(ledger: Ledger, redis_url: str) -> Iterator[Ledger]:
    """Return a ledger whose user may do what the compose file says."""
    rule = re.search(r"user headgraft on >\$\{[^}]*\} (.*)", COMPOSE.read_text())
    assert rule
    admin: Any = ledger.client
    admin.execute_command("ACL", "SETUSER", NAME, "reset", "on", f">{PASSWORD}")
    admin.execute_command("ACL", "SETUSER", NAME, *rule[1].split())
    login = redis_url.replace("://", f"://{NAME}:{PASSWORD}@", 1)
    as_user = Ledger(login)
    yield as_user
    as_user.client.close()
    admin.execute_command("ACL", "DELUSER", NAME)


def test_a_strangers_key_should_be_out_of_reach(limited: Ledger) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        limited.client.get("stranger")


@pytest.mark.parametrize("name", ["", "DIGEST"], ids=["without a key", "with a key"])
def test_a_job_should_run_and_go(limited: Ledger, name: str) -> None:
    reservation = Reservation("n", "f", limited.key("answer", name)) if name else Reservation()
    webhook = limited.serve(records.create, "ada", URL, ["injection.failed"])
    assert isinstance(webhook, Webhook)
    create(limited)
    begin(limited)
    assert limited.release("inj_1", "t1") == "ok"
    assert limited.cancel("inj_1", reservation) == "ok"
    assert limited.remove("inj_1", "ada")
    limited.serve(repository.create, head_record())
    limited.serve(repository.delete, HeadRecord, "head_1", "ada")


def test_webhooks_and_keys_should_work(limited: Ledger) -> None:
    webhook = limited.serve(records.create, "ada", URL, ["injection.cancelled"])
    assert isinstance(webhook, Webhook)
    assert limited.serve(records.rotate, webhook.id, 60) == "rotated"
    create(limited)
    limited.cancel("inj_1")
    claimed = limited.serve(records.claim, 60)
    assert claimed is not None
    assert limited.serve(records.settle, claimed, answer=200, error=None, pause_seconds=None)
    limited.serve(records.delete, webhook)
    key, text = created_keys.create(limited, "ada", "", KeyLimits())
    assert limited.serve(created_keys.find, text) == key
    assert limited.serve(count, key.id, 2).is_allowed
