"""Puts the service together: parts, endpoints, middleware."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI

from headgraft.service import openapi_document
from headgraft.service.config import ServiceSettings
from headgraft.service.injections import catalogue, downloads, event_routes, routes
from headgraft.service.injections.context import InjectionContext
from headgraft.service.injections.deadlines import keep_deadlines
from headgraft.service.injections.events import EventHub
from headgraft.service.injections.queue_view import QueueView
from headgraft.service.injections.rules import read_methods
from headgraft.service.uploads import features, heads
from headgraft.service.web import health, problems
from headgraft.service.web.metrics import Metrics
from headgraft.service.web.middleware import (
    AccessMiddleware,
    CloseOnEarlyResponse,
    RequestLogMiddleware,
)
from headgraft.service.webhooks import routes as webhooks
from headgraft.service.webhooks.deliverer import Deliverer
from headgraft.service.webhooks.policy import policy_of
from headgraft.workers.background import Loop
from headgraft.workers.ledger.connections import connect, connect_async
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.service_ledger import ServiceLedger
from headgraft.workers.store import Store

# A request waits at most three times as long for Redis before it is answered 503.
ANSWER_SECONDS = 2.0


def create_app(settings: ServiceSettings) -> FastAPI:
    """Build the application; Redis and the store need not answer yet."""
    redis_url = settings.redis_url.get_secret_value()
    client = connect_async(redis_url, retries=2, timeout_seconds=ANSWER_SECONDS)
    scrape_client = connect(redis_url, retries=2, timeout_seconds=ANSWER_SECONDS)
    ledger = ServiceLedger(client, retention_seconds=settings.retention_seconds)
    hub = EventHub(ledger, wakes=ServiceLedger(connect_async(redis_url, retries=0)))
    deliverer, deadlines = Deliverer(ledger, policy_of(settings)), Loop("deadlines")
    metrics = Metrics(Ledger(scrape_client), (hub.loop, deadlines, deliverer.loop))
    context = InjectionContext(
        settings=settings,
        ledger=ledger,
        store=Store(settings.store_url),
        methods=read_methods(),
        hub=hub,
        queue=QueueView(ledger),
        deadlines=deadlines,
        metrics=metrics,
    )
    app = FastAPI(
        title="Headgraft",
        version=version("headgraft"),
        description="Grafts new classes onto a trained image classifier, without images.",
        lifespan=_lifespan,
        redoc_url=None,
    )
    app.state.context = context
    app.state.deliverer = deliverer
    for part in (routes, event_routes, downloads, heads, features):
        app.include_router(part.router)
    for part in (webhooks, catalogue, health):
        app.include_router(part.router)
    problems.install(app)
    openapi_document.install(app)
    # The last one added stands outermost.
    app.add_middleware(AccessMiddleware, settings=settings, scripts=ledger)
    app.add_middleware(RequestLogMiddleware, metrics=context.metrics)
    app.add_middleware(CloseOnEarlyResponse)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: InjectionContext = app.state.context
    deliverer: Deliverer = app.state.deliverer
    keep = partial(keep_deadlines, context.ledger, context.deadlines)
    tasks = [
        asyncio.create_task(context.hub.loop.run_task(context.hub.read_wakes), name="wakes"),
        asyncio.create_task(context.deadlines.run_task(keep), name="deadlines"),
    ]
    deliverer.start()
    try:
        yield
    finally:
        context.hub.close()
        await deliverer.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await context.queue.stop()
        await context.ledger.client.aclose()
        await context.hub.wakes.client.aclose()
