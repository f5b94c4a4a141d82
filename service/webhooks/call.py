"""Calls a webhook once: signs the message, and connects to the address that was checked.

Of the response only the status counts: redirects are not followed, a long body is not read on.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import httpx
from standardwebhooks import Webhook as Signer

from headgraft.service.schemas.injections import timestamp
from headgraft.service.webhooks.addresses import Target
from headgraft.service.webhooks.records import Delivery

ANSWER_BYTES_MAX = 64 * 1024


@dataclass(frozen=True)
class DeliveryResult:
    """Result of one call: the HTTP status and, on failure, the reason."""

    status: int | None
    error: str | None


def client() -> httpx.AsyncClient:
    """Return the client for all calls: no proxy, no redirect, and no connection used twice.

    Connections are pooled by IP address, so that with keep-alive a host name could use another's.
    """
    return httpx.AsyncClient(
        verify=httpx.create_ssl_context(),
        trust_env=False,
        follow_redirects=False,
        limits=httpx.Limits(max_keepalive_connections=0),
        timeout=None,  # noqa: S113  # a call has its limit as a whole
    )


async def call(
    http: httpx.AsyncClient,
    target: Target,
    delivery: Delivery,
    secrets: Sequence[str],
    timeout_seconds: float,
) -> DeliveryResult:
    """POST a delivery; whatever goes wrong is in the result."""
    request = http.build_request(
        "POST",
        target.url.copy_with(host=target.address),
        content=message(delivery),
        headers={**signed(delivery, secrets), "Host": target.url.netloc.decode("ascii")},
        extensions={"sni_hostname": target.url.raw_host.decode("ascii").strip("[]")},
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _exchange(http, request)
    except TimeoutError:
        return DeliveryResult(None, f"no whole answer within {timeout_seconds:g} s")
    except httpx.HTTPError as error:
        return DeliveryResult(None, f"the call failed: {error}"[:300])


async def _exchange(http: httpx.AsyncClient, request: httpx.Request) -> DeliveryResult:
    reply = await http.send(request, stream=True)
    try:
        count = 0
        async for chunk in reply.aiter_raw():
            count += len(chunk)
            if count > ANSWER_BYTES_MAX:
                break
    finally:
        await reply.aclose()
    if reply.is_success:
        return DeliveryResult(reply.status_code, None)
    hint = ": redirects are not followed" if reply.is_redirect else ""
    return DeliveryResult(reply.status_code, f"answered {reply.status_code}{hint}")


def message(delivery: Delivery) -> bytes:
    """Return the body, the same at every attempt: what happened to which injection, and when."""
    document = {
        "type": delivery.type,
        "timestamp": timestamp(delivery.created_at),
        "data": {
            "object": "injection",
            "id": delivery.job,
            "status": delivery.job_status,
            "attempt": delivery.job_attempt,
            "error": delivery.job_error.model_dump() if delivery.job_error else None,
            "metadata": delivery.metadata,
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def signed(delivery: Delivery, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers that show who sends a delivery, by every secret that is valid now."""
    now, body = datetime.now(UTC), message(delivery).decode()
    signatures = [Signer(secret).sign(delivery.id, now, body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Headgraft/{version('headgraft')}",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
