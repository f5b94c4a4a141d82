"""The one exception of the client."""

from collections.abc import Sequence
from typing import Any

import httpx

from headgraft.workers.urls import without_password

TEXT_SHOWN = 300
ERRORS_SHOWN = 5


class HeadgraftError(Exception):
    """A refusal or a failure: HTTP status (None: not reached), code, detail, single defects."""

    def __init__(
        self,
        status: int | None,
        code: str,
        detail: str,
        errors: Sequence[dict[str, str]] = (),
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        if [one["detail"] for one in self.errors] == [self.detail]:
            return f"{self.errors[0]['pointer']}: {self.detail}"
        shown = [f"{one['pointer']}: {one['detail']}" for one in self.errors[:ERRORS_SHOWN]]
        if len(self.errors) > ERRORS_SHOWN:
            shown.append(f"and {len(self.errors) - ERRORS_SHOWN} more")
        return f"{self.detail} ({'; '.join(shown)})" if shown else self.detail


def _explain(reply: httpx.Response) -> HeadgraftError:
    try:
        document: Any = reply.json()
    except ValueError:
        document = None
    if not isinstance(document, dict) or "code" not in document:
        text = reply.text.strip()[:TEXT_SHOWN] or reply.reason_phrase
        detail = f"{without_password(str(reply.url))} answered {reply.status_code}: {text}"
        return HeadgraftError(reply.status_code, "http_error", detail)
    detail = str(document.get("detail") or document.get("title"))
    if reply.status_code == httpx.codes.UNAUTHORIZED:
        detail += " (the command line reads it from HEADGRAFT_API_KEY)"
    return HeadgraftError(
        reply.status_code, str(document["code"]), detail, document.get("errors", [])
    )


def failure(url: str, outcome: httpx.Response | httpx.TransportError) -> HeadgraftError:
    """Turn an error response, read already, or none at all into the exception."""
    if isinstance(outcome, httpx.Response):
        return _explain(outcome)
    return _unreachable(url, outcome)


def _unreachable(url: str, error: httpx.TransportError) -> HeadgraftError:
    """Say that no answer came, and what to start."""
    if isinstance(error, httpx.ConnectError):
        detail = f"nothing answers at {url} ({error}): start it with `headgraft up`"
    else:
        detail = f"{url} did not answer ({type(error).__name__}: {error})"
    return HeadgraftError(None, "unreachable", detail)
