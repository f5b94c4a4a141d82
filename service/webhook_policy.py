"""How webhooks are called: where to, how long, how often; it does not call."""

import math
import random
from dataclasses import dataclass

from service.addresses import Network, parse_networks

# What https://www.standardwebhooks.com recommends: three days in all.
BACKOFF_SECONDS = "5,300,1800,7200,18000,36000,50400,72000,86400"
JITTER = 0.1


@dataclass(frozen=True)
class WebhookPolicy:
    """The operator's word; the pauses stand between one attempt and the next."""

    allowed: tuple[Network, ...]
    backoff_seconds: tuple[float, ...]
    timeout_seconds: float

    @property
    def lease_seconds(self) -> float:
        """After this silence of who took a delivery on, it is another's to make."""
        return 1.5 * self.timeout_seconds

    def pause_seconds(self, attempts: int) -> float | None:
        """Return when to try again after so many attempts; None: not any more."""
        if attempts > len(self.backoff_seconds):
            return None
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # nothing secret in it
        return self.backoff_seconds[attempts - 1] * spread


def read_policy(allow: str, backoff: str, timeout_seconds: float) -> WebhookPolicy:
    """Read the settings; ValueError names what is wrong in them."""
    try:
        pauses = tuple(float(part) for part in backoff.split(",") if part.strip())
    except ValueError:
        pauses = (math.nan,)
    if any(not 0 <= pause <= 30 * 86_400 for pause in pauses):
        raise ValueError(
            f"HEADGRAFT_WEBHOOK_BACKOFF_SECONDS {backoff!r:.80}: numbers of seconds, separated by "
            "commas, each from 0 to 30 days"
        )
    try:
        allowed = parse_networks(allow)
    except ValueError as error:
        raise ValueError(f"HEADGRAFT_WEBHOOK_ALLOW: {error}") from None
    return WebhookPolicy(allowed, pauses, timeout_seconds)
