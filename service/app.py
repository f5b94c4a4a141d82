"""Puts the service together: parts, endpoints, middleware. It opens no port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from anyio import to_thread
from fastapi import FastAPI

from headgraft.service import openapi_document
from headgraft.service.config import ServiceSettings
from headgraft.service.injections import catalogue, downloads, event_routes, routes
from headgraft.service.injections.context import InjectionContext
from headgraft.service.injections.deadlines import Deadlines
from headgraft.service.injections.events import EventHub
from headgraft.service.injections.queue_view import QueueView
from headgraft.service.injections.rules import read_methods
from headgraft.service.uploads import features, heads
from headgraft.service.web import health, problems
from headgraft.service.web.metrics import Metrics
from headgraft.service.web.middleware import Frame, Gate, Unread
from headgraft.service.webhooks import routes as webhooks
from headgraft.service.webhooks.deliverer import Deliverer
from headgraft.service.webhooks.policy import policy_of
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import connect
from headgraft.workers.store import Store

# A client waits for three of these at most before it hears 503.
ANSWER_SECONDS = 2.0


def create_app(settings: ServiceSettings) -> FastAPI:
    """Build the application; Redis and the store need not answer yet."""
    redis_url = settings.redis_url.get_secret_value()
    client = connect(redis_url, retries=2, timeout_seconds=ANSWER_SECONDS)
    ledger = Ledger(client, retention_seconds=settings.retention_seconds)
    context = InjectionContext(
        settings=settings,
        ledger=ledger,
        store=Store(settings.store_url),
        methods=read_methods(),
        # A client that repeated calls would hide that it was cut off, and with it lost wakes.
        hub=EventHub(Ledger(connect(redis_url, retries=0))),
        queue=QueueView(ledger),
        deadlines=Deadlines(ledger),
        metrics=Metrics(ledger),
    )
    app = FastAPI(
        title="Headgraft",
        version=version("headgraft"),
        description="Grafts new classes onto a trained image classifier, without images.",
        lifespan=_lifespan,
        redoc_url=None,
    )
    app.state.context = context
    app.state.deliverer = Deliverer(ledger, policy_of(settings))
    for part in (routes, event_routes, downloads, heads, features):
        app.include_router(part.router)
    for part in (webhooks, catalogue, health):
        app.include_router(part.router)
    problems.install(app)
    openapi_document.install(app)
    # The last one added stands outermost.
    app.add_middleware(Gate, settings=settings, ledger=ledger)
    app.add_middleware(Frame, metrics=context.metrics)
    app.add_middleware(Unread)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: InjectionContext = app.state.context
    context.hub.start()
    context.deadlines.start()
    deliverer: Deliverer = app.state.deliverer
    deliverer.start()
    try:
        yield
    finally:
        context.hub.close()
        await deliverer.close()
        await to_thread.run_sync(context.deadlines.close)
        await to_thread.run_sync(context.hub.join)
        context.ledger.client.close()
