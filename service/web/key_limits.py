"""What the operator allows the holder of a key; it does not know who counts."""

from headgraft.service.config import ServiceSettings
from headgraft.workers.jobs.quota import Quota
from pydantic import BaseModel, ConfigDict, Field


class KeyLimits(BaseModel):
    """None: nothing is said. What a created key leaves open, the service's own settings say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int | None = Field(default=None, ge=1)
    jobs: int | None = Field(default=None, ge=1)
    upload_bytes: int | None = Field(default=None, ge=1)
    stored_bytes: int | None = Field(default=None, ge=1)

    def over(self, general: "KeyLimits") -> "KeyLimits":
        """Return these limits, and the general ones where nothing is said."""
        return KeyLimits(**{**general.model_dump(), **self.model_dump(exclude_none=True)})

    @property
    def quota(self) -> Quota:
        """What the ledger holds against what the owner has already."""
        return Quota(jobs=self.jobs, stored_bytes=self.stored_bytes)


def limits_of(settings: ServiceSettings, owner: str) -> KeyLimits:
    """Return what an owner's keys allow, where a created key says nothing else."""
    return KeyLimits(
        requests_per_minute=settings.requests_per_minute,
        jobs=settings.jobs_max,
        upload_bytes=settings.upload_limits.get(owner, settings.upload_bytes_max),
        stored_bytes=settings.stored_bytes_max,
    )
