"""A Python client of the HTTP API; it knows the contract, and nothing of the server behind it."""

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from service.client_errors import HeadgraftError, explain, unreachable
from service.client_events import Watch
from service.client_upload import UploadFile
from service.config import is_loopback
from service.head_files import FILES, Format

DEFAULT_URL = "http://127.0.0.1:8000"
RETRIES_MAX = 5
RETRY_AFTER_SECONDS_MAX = 10.0
ANSWER_SECONDS = 300.0  # a large upload is stored before it is answered

Entry = str | Mapping[str, str]
Injection = dict[str, Any]
"""An injection as the API shows it."""


class Headgraft:
    """A service at a URL; every call raises HeadgraftError where it is refused or not reached."""

    def __init__(self, url: str = DEFAULT_URL, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=_checked(self.url),
            headers=_authorization(key),
            timeout=httpx.Timeout(30, read=ANSWER_SECONDS),
            # A proxy of the environment does not reach what listens on this machine's loopback.
            trust_env=not is_loopback(urlsplit(self.url).hostname or ""),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload_head(
        self,
        checkpoint: Path,
        *,
        class_names: Sequence[Entry] | None = None,
        head: Mapping[str, Any] | None = None,
        on_upload: Callable[[int, int], None] | None = None,
    ) -> dict[str, Any]:
        """Upload a checkpoint once, to inject into by `head_id`; return the head resource."""
        request = _without_none(class_names=class_names, head=head)
        return self._send("/v1/heads", checkpoint, request, on_upload)

    def upload_features(
        self, features: Path, *, on_upload: Callable[[int, int], None] | None = None
    ) -> dict[str, Any]:
        """Upload a safetensors file of `features` and `labels`; return the features resource."""
        with UploadFile(features, on_upload) as file:
            part = (features.name, file, "application/octet-stream")
            return self._json("POST", "/v1/features", files={"features": part})

    def delete_features(self, id: str) -> None:  # noqa: A002  # the contract's name
        """Delete uploaded features; HeadgraftError `conflict` while a live injection needs them."""
        self._ask("DELETE", f"/v1/features/{id}")

    def inject(
        self,
        checkpoint: Path | None = None,
        add: Sequence[Entry] = (),
        *,
        head_id: str | None = None,
        features_id: str | None = None,
        class_names: Sequence[Entry] | None = None,
        method: str | None = None,
        settings: Mapping[str, Any] | None = None,
        class_embeddings: Mapping[str, Any] | None = None,
        head: Mapping[str, Any] | None = None,
        calibration: Mapping[str, Any] | None = None,
        timeout_seconds: int | None = None,
        on_upload: Callable[[int, int], None] | None = None,
    ) -> Injection:
        """Add classes to a checkpoint, or to an uploaded head; return the queued injection.

        What is None is left to the service. `on_upload` hears (bytes sent, bytes in all).
        """
        request = _without_none(
            add=list(add),
            head_id=head_id,
            features_id=features_id,
            class_names=class_names,
            method=method,
            settings=settings,
            class_embeddings=class_embeddings,
            head=head,
            calibration=calibration,
            timeout_seconds=timeout_seconds,
        )
        if checkpoint is None:
            return self._json("POST", "/v1/injections", json=request)
        return self._send("/v1/injections", checkpoint, request, on_upload)

    def injection(self, id: str) -> Injection:  # noqa: A002  # the contract's name
        """Return an injection as it is now."""
        return self._json("GET", f"/v1/injections/{id}")

    def injections(self, *, after: str | None = None, limit: int = 20) -> list[Injection]:
        """Return a page of injections, newest first; `after` an id comes the next page."""
        page = self._json("GET", "/v1/injections", params=_without_none(after=after, limit=limit))
        return list(page["data"])

    def wait(
        self,
        id: str,  # noqa: A002  # the contract's name
        on_progress: Callable[[Injection], None] | None = None,
        timeout_seconds: float | None = None,
    ) -> Injection:
        """Follow an injection to its end and return it; HeadgraftError `timeout` where it lasts.

        `on_progress` hears the injection whenever something of it changed. A service that goes
        away meanwhile is waited for, a minute long.
        """
        watch = Watch(self._http, self.injection, id, on_progress or _ignore)
        return watch.to_the_end(timeout_seconds)

    def cancel(self, id: str) -> Injection:  # noqa: A002  # the contract's name
        """Cancel an injection and return it; HeadgraftError `conflict` when it has ended."""
        return self._json("POST", f"/v1/injections/{id}/cancel")

    def report(self, id: str) -> dict[str, Any]:  # noqa: A002  # the contract's name
        """Return the report of a succeeded injection."""
        return self._json("GET", f"/v1/injections/{id}/report")

    def report_html(self, id: str) -> str:  # noqa: A002  # the contract's name
        """Return the report of a succeeded injection as a page that needs nothing else."""
        return self._ask("GET", f"/v1/injections/{id}/report", params={"format": "html"}).text

    def download(
        self,
        id: str,  # noqa: A002  # the contract's name
        target: Path,
        format: Format = "safetensors",  # noqa: A002  # the contract's name
    ) -> Path:
        """Save the extended checkpoint as `target`, whole and checked or not at all.

        Another `format` is the head alone; a head that is no rows has `native`, `onnx`, `labels`.
        """
        artifacts = {one["name"]: one for one in self.injection(id)["artifacts"]}
        expected = artifacts.get(FILES[format], {}).get("sha256")
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            found = self._save(f"/v1/injections/{id}/head?format={format}", part)
            if found != expected:
                detail = f"the download hashes to {found}, not {expected}: try again"
                raise HeadgraftError(None, "corrupt_download", detail)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return target

    def methods(self) -> list[dict[str, Any]]:
        """Return the methods, each with the JSON schema of its settings."""
        return list(self._json("GET", "/v1/methods")["data"])

    def encoders(self) -> list[dict[str, Any]]:
        """Return the text encoders of the workers online."""
        return list(self._json("GET", "/v1/encoders")["data"])

    def _send(
        self,
        path: str,
        checkpoint: Path,
        request: Mapping[str, Any],
        on_upload: Callable[[int, int], None] | None,
    ) -> dict[str, Any]:
        with UploadFile(checkpoint, on_upload) as file:
            # The request goes first: what is wrong with it is answered before the upload is done.
            files: list[tuple[str, Any]] = [
                ("request", (None, json.dumps(request).encode(), "application/json")),
                ("checkpoint", (checkpoint.name, file, "application/octet-stream")),
            ]
            return self._json("POST", path, files=files)

    def _json(self, verb: str, path: str, **options: Any) -> dict[str, Any]:
        reply = self._ask(verb, path, **options)
        try:
            document = reply.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise HeadgraftError(reply.status_code, "not_headgraft", f"{self.url} is no Headgraft")
        return document

    def _ask(self, verb: str, path: str, **options: Any) -> httpx.Response:
        for left in reversed(range(RETRIES_MAX)):
            try:
                reply = self._http.request(verb, path, **options)
            except httpx.TransportError as error:
                raise unreachable(self.url, error) from error
            if reply.is_success:
                return reply
            # Only a GET may be said twice: a POST may have been heard although it was refused.
            if reply.status_code != httpx.codes.SERVICE_UNAVAILABLE or verb != "GET" or not left:
                break
            time.sleep(_retry_after(reply))
        raise explain(reply)

    def _save(self, path: str, part: Path) -> str:
        digest = sha256()
        try:
            with self._http.stream("GET", path) as reply, part.open("xb") as file:
                if not reply.is_success:
                    reply.read()
                    raise explain(reply)
                for chunk in reply.iter_bytes():
                    digest.update(chunk)
                    file.write(chunk)
                os.fsync(file.fileno())
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error
        return digest.hexdigest()


def _checked(url: str) -> str:
    parts = urlsplit(url)
    try:
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return url
    except ValueError:  # a port that is no number
        pass
    detail = f"{url!r} is no URL of a service; it looks like {DEFAULT_URL}"
    raise HeadgraftError(None, "invalid_url", detail)


def _authorization(key: str | None) -> dict[str, str]:
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable():  # the library's own error would show the key
        raise HeadgraftError(None, "invalid_key", "the API key holds characters no key can hold")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _ignore(_injection: Injection) -> None:
    """Hear nothing."""


def _without_none(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _retry_after(reply: httpx.Response) -> float:
    said = reply.headers.get("retry-after", "1")
    return min(float(said), RETRY_AFTER_SECONDS_MAX) if said.isdecimal() else 1.0
