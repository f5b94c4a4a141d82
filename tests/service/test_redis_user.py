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
from headgraft.workers.jobs.quota import Reservation
from headgraft.workers.jobs.spec import HeadRecord
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import connect
from tests.documents import head_record
from tests.service.own_redis import redis_url
from tests.workers.ledger.test_ledger import begin, create

__all__ = ["redis_url"]

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
NAME, PASSWORD = "limited", "a-password"


@pytest.fixture
def limited(ledger: Ledger, redis_url: str) -> Iterator[Ledger]:
    """Return a ledger whose user may do what the compose file says."""
    rule = re.search(r"user headgraft on >\$\{[^}]*\} (.*)", COMPOSE.read_text())
    assert rule
    admin: Any = ledger.client
    admin.execute_command("ACL", "SETUSER", NAME, "reset", "on", f">{PASSWORD}")
    admin.execute_command("ACL", "SETUSER", NAME, *rule[1].split())
    client = connect(redis_url)
    client.connection_pool.connection_kwargs.update(username=NAME, password=PASSWORD)
    yield Ledger(client)
    client.close()
    admin.execute_command("ACL", "DELUSER", NAME)


def test_a_strangers_key_should_be_out_of_reach(limited: Ledger) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        limited.client.get("stranger")


@pytest.mark.parametrize("name", ["", "DIGEST"], ids=["without a key", "with a key"])
def test_a_job_should_run_and_go(limited: Ledger, name: str) -> None:
    reservation = Reservation(limited.key("answer", name), "n", "f") if name else Reservation()
    webhook = records.create(limited, "ada", "https://93.184.215.14/", ["injection.failed"])
    assert isinstance(webhook, Webhook)
    create(limited)
    begin(limited)
    assert limited.release("inj_1", "t1") == "ok"
    assert limited.cancel("inj_1", reservation) == "ok"
    assert limited.remove("inj_1", "ada")
    repository.keep(limited, head_record())
    repository.forget(limited, HeadRecord, "head_1", "ada")


def test_webhooks_and_keys_should_work(limited: Ledger) -> None:
    webhook = records.create(limited, "ada", "https://93.184.215.14/", ["injection.cancelled"])
    assert isinstance(webhook, Webhook)
    assert records.rotate(limited, webhook.id, 60) == "rotated"
    create(limited)
    limited.cancel("inj_1")
    claimed = records.claim(limited, 60)
    assert claimed is not None
    assert records.settle(limited, claimed, answer=200, error=None, pause_seconds=None)
    records.forget(limited, webhook)
    key, text = created_keys.create(limited, "ada", "", KeyLimits())
    assert created_keys.find(limited, text) == key
    assert count(limited, key.id, 2).is_allowed
