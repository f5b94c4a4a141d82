"""How webhooks are called: where to, how long, how often; it does not call."""

import math
import random
from dataclasses import dataclass
from functools import cache

from headgraft.service.config import ServiceSettings
from headgraft.service.webhooks.addresses import Network, parse_networks
from headgraft.workers.environment import ConfigError

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
        """Return the pause after this number of attempts; None: no further attempt."""
        if attempts > len(self.backoff_seconds):
            return None
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # nothing secret in it
        return self.backoff_seconds[attempts - 1] * spread


@cache
def policy_of(settings: ServiceSettings) -> WebhookPolicy:
    """Return how the settings have webhooks called; ConfigError names the variable at fault."""
    try:
        allowed = parse_networks(settings.webhook_allow)
    except ValueError as error:
        raise ConfigError(f"HEADGRAFT_WEBHOOK_ALLOW: {error}") from error
    pauses = _pauses(settings.webhook_backoff_seconds)
    return WebhookPolicy(allowed, pauses, settings.webhook_timeout_seconds)


def _pauses(listed: str) -> tuple[float, ...]:
    try:
        pauses = tuple(float(part) for part in listed.split(",") if part.strip())
    except ValueError:
        pauses = (math.nan,)
    if any(not 0 <= pause <= 30 * 86_400 for pause in pauses):
        raise ConfigError(
            f"HEADGRAFT_WEBHOOK_BACKOFF_SECONDS {listed!r:.80}: numbers of seconds, separated by "
            "commas, each from 0 to 30 days"
        )
    return pauses
