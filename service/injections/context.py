"""The parts of the running service that the endpoints of injections work with."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from headgraft.service.injections.events import EventHub
from headgraft.service.injections.queue_view import QueueView
from headgraft.service.web.context import Context
from headgraft.workers.background import Loop


@dataclass(frozen=True)
class InjectionContext(Context):
    """The parts of one running service, with those that watch its injections."""

    hub: EventHub
    queue: QueueView
    deadlines: Loop


# It waits for nothing; the framework would send a plain function to a thread.
async def injection_context_of(request: Request) -> InjectionContext:
    """Return the running service's parts."""
    return cast(InjectionContext, request.app.state.context)


InInjectionContext = Annotated[InjectionContext, Depends(injection_context_of)]
