"""Counts a key's requests in Redis, and says how many are left, as the IETF's draft has it.

draft-ietf-httpapi-ratelimit-headers-11: the fields RateLimit-Policy and RateLimit, and the problem
type `quota-exceeded`. It does not know who holds the key.
"""

from dataclasses import dataclass

from headgraft.service.web.problems import ProblemError, over_quota
from headgraft.workers.ledger.ledger import Ledger

WINDOW_SECONDS = 60
POLICY = "requests"


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


def count(ledger: Ledger, key: str, limit: int) -> Rate:
    """Count one request of a key. Blocks; LedgerError when Redis is away."""
    said = ledger.run("count", [ledger.key("requests", key)], limit, WINDOW_SECONDS * 1000)
    used, reset_ms = (int(part) for part in said.split())
    left, reset_seconds = max(0, limit - used), -(-reset_ms // 1000)
    return Rate(limit, left, reset_seconds, is_allowed=used <= limit)
