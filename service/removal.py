"""Deletes an ended injection: its files, then all that Redis holds of it.

It knows the folders that an injection writes to, and nothing of what lies in them.
"""

from fastapi import APIRouter

from service.injection_context import InInjectionContext, InjectionContext
from service.injections import Own, show
from service.openapi import errors
from service.problems import ProblemError, not_found
from workers.jobs import Record, folders

router = APIRouter(prefix="/v1/injections", tags=["injections"])


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteInjection",
    summary="Delete an injection that has ended",
    responses=errors(404, 409, 422),
)
def delete_injection(context: InInjectionContext, record: Own) -> None:
    """Delete record, events and files; a queued or running one is a 409: cancel it first."""
    if not record.is_terminal:
        raise _is_live(context, record)
    # The files go first: whoever hears that the store failed can ask again.
    for folder in folders(record.owner, record.id):
        context.store.delete(folder)
    if not context.ledger.remove(record.id, record.owner):
        raise not_found("injection", record.id)


def _is_live(context: InjectionContext, record: Record) -> ProblemError:
    detail = f"injection {record.id} is {record.status}: cancel it first, or wait for its end"
    shown = show(context, record).model_dump()
    return ProblemError(409, "conflict", detail, extra={"injection": shown})
