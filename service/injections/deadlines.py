"""Ends the jobs whose deadline passes while no worker runs them: a task of every API process."""

import asyncio

import structlog

from headgraft.workers.background import Loop
from headgraft.workers.ledger.scripts import LedgerError
from headgraft.workers.ledger.service_ledger import ServiceLedger

PERIOD_SECONDS = 1.0
log = structlog.get_logger("headgraft.deadlines")


async def keep_deadlines(ledger: ServiceLedger, loop: Loop) -> None:
    """End what is late once a second, until cancelled; several processes may do the same."""
    while True:
        loop.note_round()
        await asyncio.sleep(PERIOD_SECONDS)
        try:
            await ledger.expire_late()
        except LedgerError as error:
            log.warning("deadlines_not_kept", error=str(error))
