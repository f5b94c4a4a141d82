"""What is installed: the methods of this release, the encoders of the workers online."""

from collections import Counter

from fastapi import APIRouter

from headgraft.service.schemas.injections import (
    EncoderList,
    EncoderResource,
    MethodList,
)
from headgraft.service.web.context import InContext
from headgraft.service.web.openapi import errors

router = APIRouter(prefix="/v1", tags=["catalogue"])


@router.get("/methods", operation_id="listMethods", summary="List the methods", responses=errors())
async def list_methods(context: InContext) -> MethodList:
    """Return each method with the JSON schema of its settings."""
    return MethodList(data=list(context.methods.values()))


@router.get(
    "/encoders", operation_id="listEncoders", summary="List the encoders", responses=errors()
)
async def list_encoders(context: InContext) -> EncoderList:
    """Return the text encoders that workers online have announced."""
    counts = Counter(
        (name, encoder.dimension, encoder.digest)
        for worker in await context.ledger.workers()
        for name, encoder in worker.encoders.items()
    )
    return EncoderList(
        data=[
            EncoderResource(name=name, dimension=dimension, digest=digest, workers=count)
            for (name, dimension, digest), count in sorted(counts.items())
        ]
    )
