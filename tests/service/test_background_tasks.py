"""The API's background tasks: each is killed by an error, begins again, and `/readyz` counts it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from headgraft.service.app import create_app
from headgraft.service.config import ServiceSettings
from headgraft.service.web import metrics
from headgraft.service.webhooks import records
from headgraft.workers import background
from headgraft.workers.ledger.service_ledger import ServiceLedger
from tests.ledger import Ledger
from tests.processes import free_port

Original = Callable[..., Any]


class FailsOnce:
    """Stands for a function that fails at its first call, and counts the calls."""

    def __init__(self, original: Original) -> None:
        self.original = original
        self.calls = 0

    def count(self) -> None:
        self.calls += 1
        if self.calls == 1:
            raise KeyError("unexpected")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, FailsOnce]:
    """Let each loop's own function fail once."""
    deadlines = FailsOnce(ServiceLedger.expire_late)
    wakes = FailsOnce(ServiceLedger.wakes)
    deliverer = FailsOnce(records.claim)
    scrapes = FailsOnce(background.Loop.note_round)

    async def expire_late(*arguments: Any) -> None:
        deadlines.count()
        await deadlines.original(*arguments)

    async def read_wakes(*arguments: Any) -> AsyncIterator[Any]:
        wakes.count()
        async with aclosing(wakes.original(*arguments)) as heard:
            async for wake in heard:
                yield wake

    async def claim(*arguments: Any) -> Any:
        deliverer.count()
        return await deliverer.original(*arguments)

    kind = metrics._server_kind

    def server_kind(host: str, loop: background.Loop) -> Any:
        class Failing(kind(host, loop)):  # type: ignore[misc]
            def service_actions(self) -> None:
                scrapes.count()
                super().service_actions()

        return Failing

    monkeypatch.setattr(background, "PAUSES_SECONDS", (0.01,))
    monkeypatch.setattr(ServiceLedger, "expire_late", expire_late)
    monkeypatch.setattr(ServiceLedger, "wakes", read_wakes)
    monkeypatch.setattr(records, "claim", claim)
    monkeypatch.setattr(metrics, "_server_kind", server_kind)
    return {
        "deadlines": deadlines,
        "wakes": wakes,
        "deliverer": deliverer,
        "metrics": scrapes,
    }


def test_every_task_should_begin_again_after_an_error_and_be_counted(
    redis_url: str, ledger: Ledger, tmp_path: Path, failing: dict[str, FailsOnce]
) -> None:
    settings = ServiceSettings(redis_url=SecretStr(redis_url), store_url=f"file://{tmp_path}/store")
    port = free_port()
    app = create_app(settings)
    app.state.context.metrics.serve("127.0.0.1", port)

    async def run() -> dict[str, Any]:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        ):
            async with asyncio.timeout(60):
                # Each goes round again, after its death.
                while any(one.calls < 3 for name, one in failing.items() if name != "wakes"):
                    await asyncio.sleep(0.02)
            return dict((await client.get("/readyz")).json())

    ready = asyncio.run(run())
    assert ready["status"] == "ok"
    assert set(ready["loops"]) == set(failing)
    for name, loop in ready["loops"].items():
        assert loop["deaths"] == 1, name
        assert loop["age_seconds"] < 30, name
    scraped = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    for name in failing:
        assert f'headgraft_loop_deaths_total{{loop="{name}"}} 1.0' in scraped
