"""The ledger for tests: the workers' side, and the service's side as blocking calls."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from headgraft.workers.jobs.events import Event
from headgraft.workers.jobs.spec import Record
from headgraft.workers.jobs.summary import Summary
from headgraft.workers.ledger.connections import connect, connect_async
from headgraft.workers.ledger.ledger import Ledger as WorkersLedger
from headgraft.workers.ledger.quota import UNRESERVED, Reservation
from headgraft.workers.ledger.service_ledger import ServiceLedger
from tests import documents

P = ParamSpec("P")
T = TypeVar("T")


class Ledger(WorkersLedger):
    """Both sides of the ledger at one server."""

    def __init__(self, url: str, *, retries: int = 3) -> None:
        super().__init__(connect(url, retries=retries))
        self.url = url
        self._retries = retries

    def serve(
        self,
        call: Callable[Concatenate[ServiceLedger, P], Awaitable[T]],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> T:
        """Call what takes the service's ledger first, and wait for its result."""

        async def run() -> T:
            async with connect_async(self.url, retries=self._retries) as client:
                return await call(ServiceLedger(client), *arguments, **options)

        return asyncio.run(run())

    def create(
        self,
        job: str,
        owner: str,
        *,
        spec: str = "spec",
        summary: Summary | None = None,
        timeout_seconds: int = 60,
        deadline_seconds: int | None = None,
        reservation: Reservation = UNRESERVED,
    ) -> str:
        """Create a job as the service does."""
        record = Record(
            id=job,
            owner=owner,
            status="queued",
            attempt=0,
            timeout_seconds=timeout_seconds,
            spec=spec,
            summary=summary or documents.summary(),
            created_at=0,
        )
        return self.serve(
            ServiceLedger.create,
            record,
            deadline_seconds=deadline_seconds,
            reservation=reservation,
        )

    def cancel(self, job: str, reservation: Reservation = UNRESERVED) -> str:
        """Cancel a job as the service does."""
        return self.serve(ServiceLedger.cancel, job, reservation)

    def jobs(self, owner: str, *, after: str | None = None, limit: int = 20) -> list[Record]:
        """List an owner's jobs as the service does."""
        return self.serve(ServiceLedger.jobs, owner, after=after, limit=limit)

    def events(self, job: str, *, after: str = "-", count: int = 500) -> list[Event]:
        """Read a job's events as the service does."""
        return self.serve(ServiceLedger.events, job, after=after, count=count)
