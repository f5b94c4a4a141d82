"""What the operator allows the holder of a key, and how much of its requests is left."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from headgraft.service.config import ServiceSettings
from headgraft.service.web.problems import ProblemError, over_quota
from headgraft.workers.ledger.quota import Quota
from headgraft.workers.ledger.scripts import AsyncRedisScripts, Key, Script

WINDOW_SECONDS = 60
POLICY = "requests"


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
        return Quota(self.jobs, self.stored_bytes)


def limits_of(settings: ServiceSettings, owner: str) -> KeyLimits:
    """Return what an owner's keys allow, where a created key says nothing else."""
    return KeyLimits(
        requests_per_minute=settings.requests_per_minute,
        jobs=settings.jobs_max,
        upload_bytes=settings.upload_limits.get(owner, settings.upload_bytes_max),
        stored_bytes=settings.stored_bytes_max,
    )


@dataclass(frozen=True)
class Rate:
    """The running window: requests allowed in it and left, seconds to its end; is this one in?"""

    limit: int
    left: int
    reset_seconds: int
    is_allowed: bool

    @property
    def headers(self) -> dict[str, str]:
        """What every answer tells the client."""
        return {
            "RateLimit-Policy": f'"{POLICY}";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"{POLICY}";r={self.left};t={self.reset_seconds}',
        }

    def refusal(self) -> ProblemError:
        """Say that the window is used up."""
        detail = f"the key's {self.limit} requests a minute are used up"
        return over_quota(POLICY, detail, retry_after_seconds=self.reset_seconds)


class CountRequest(Script[str], name="count_request"):
    """Count a request; returns the count, and the milliseconds to the window's end."""

    requests: Key
    limit: int
    window_ms: int = WINDOW_SECONDS * 1000


async def count(scripts: AsyncRedisScripts, key: str, limit: int) -> Rate:
    """Count one request of a key; LedgerError when Redis is away."""
    answer = await scripts.run(CountRequest(scripts.key("requests", key), limit))
    used, reset_ms = (int(part) for part in answer.split())
    left, reset_seconds = max(0, limit - used), -(-reset_ms // 1000)
    return Rate(limit, left, reset_seconds, is_allowed=used <= limit)
