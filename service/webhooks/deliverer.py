"""Makes the deliveries that are due, as a task of every API process; no worker takes part.

A delivery that a killed process had claimed is due again when its lease ends: a message arrives at
least once, always with the same id.
"""

import asyncio
import time
from functools import partial

import httpx
import structlog
from anyio import CapacityLimiter, to_thread

from headgraft.service.webhooks import records
from headgraft.service.webhooks.addresses import AddressError, find_target
from headgraft.service.webhooks.call import DeliveryResult, call, client
from headgraft.service.webhooks.policy import WebhookPolicy
from headgraft.service.webhooks.records import Claimed
from headgraft.workers.background import Loop
from headgraft.workers.ledger.scripts import AsyncRedisScripts, LedgerError

AT_ONCE = 32
PAUSE_SECONDS = 0.25
PAUSE_AWAY_SECONDS = 2.0
# Threads of its own: a slow name server must not hold up the API's answers.
THREADS = 16
log = structlog.get_logger("headgraft.deliverer")


class Deliverer:
    """The task: `start` in the event loop, `close` at its end."""

    def __init__(self, scripts: AsyncRedisScripts, policy: WebhookPolicy) -> None:
        self._scripts = scripts
        self._policy = policy
        self._running: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self.loop = Loop("deliverer")

    def start(self) -> None:
        """Begin to deliver."""
        self._limiter = CapacityLimiter(THREADS)
        self._task = asyncio.create_task(self.loop.run_task(self._run), name="deliverer")

    async def close(self) -> None:
        """Stop at once; another process makes again what was under way."""
        tasks = [task for task in (self._task, *self._running) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        async with client() as http:
            while True:
                self.loop.note_round()
                claimed = await self._claim() if len(self._running) < AT_ONCE else None
                if claimed is None:
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                task = asyncio.create_task(self._deliver(http, claimed))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _claim(self) -> Claimed | None:
        try:
            return await records.claim(self._scripts, self._policy.lease_seconds)
        except LedgerError as error:
            log.warning("deliveries_not_seen", error=str(error))
            await asyncio.sleep(PAUSE_AWAY_SECONDS)
            return None

    async def _deliver(self, http: httpx.AsyncClient, claimed: Claimed) -> None:
        try:
            result = await self._attempt(http, claimed)
            await self._settle(claimed, result)
        except LedgerError as error:
            log.warning("delivery_not_settled", delivery=claimed.delivery.id, error=str(error))
        except Exception:
            # Its lease ends, and it is tried again.
            log.exception("delivery_failed", delivery=claimed.delivery.id)

    async def _attempt(self, http: httpx.AsyncClient, claimed: Claimed) -> DeliveryResult:
        delivery, webhook = claimed.delivery, claimed.webhook
        start, limit_seconds = time.monotonic(), self._policy.timeout_seconds
        find = partial(find_target, webhook.url, self._policy.allowed)
        try:
            async with asyncio.timeout(limit_seconds):
                target = await to_thread.run_sync(
                    find, limiter=self._limiter, abandon_on_cancel=True
                )
        except TimeoutError:
            return DeliveryResult(None, f"the name was not resolved within {limit_seconds:g} s")
        except AddressError as error:
            return DeliveryResult(None, str(error))
        left_seconds = limit_seconds - (time.monotonic() - start)
        secrets = webhook.signing(int(time.time() * 1000))
        return await call(http, target, delivery, secrets, left_seconds)

    async def _settle(self, claimed: Claimed, result: DeliveryResult) -> None:
        delivery = claimed.delivery
        is_ours = await records.settle(
            self._scripts,
            claimed,
            answer=result.status,
            error=result.error,
            pause_seconds=self._policy.pause_seconds(delivery.attempts),
        )
        log.info(
            "delivery_attempt",
            delivery=delivery.id,
            webhook=delivery.webhook,
            job=delivery.job,
            attempt=delivery.attempts,
            status=result.status,
            error=result.error,
            is_ours=is_ours,
        )
