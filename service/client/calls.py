"""The calls of the HTTP API, written once as coroutines for both clients."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Unpack

import httpx
from pydantic import BaseModel, ValidationError

from headgraft.arguments import ClassNames, Entry, InjectionOptions, Scalar
from headgraft.class_names import class_entries
from headgraft.errors import HeadgraftError
from headgraft.events import Watch
from headgraft.files import Array, FileDownload, UploadFile, features_file
from headgraft.retries import Retries
from headgraft.service.schemas.formats import FILES, Format
from headgraft.service.schemas.injections import (
    EncoderList,
    EncoderResource,
    EventList,
    EventResource,
    InjectionList,
    InjectionResource,
    MethodList,
    MethodResource,
)
from headgraft.service.schemas.uploads import FeaturesList, FeaturesResource, HeadList, HeadResource
from headgraft.transport import Transport
from headgraft.workers.jobs.report import Report

OnUpload = Callable[[int, int], None]
OnProgress = Callable[[InjectionResource], None]
Resource = TypeVar("Resource", bound=BaseModel)


class Calls:
    """A service; every call raises HeadgraftError where it is refused or not reached."""

    def __init__(self, url: str, transport: Transport, retries: Retries) -> None:
        self.url = url
        self.transport = transport
        self._retries = retries

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def submit(
        self,
        checkpoint: Path | None = None,
        add: Sequence[Entry] = (),
        *,
        head_id: str | None = None,
        on_upload: OnUpload | None = None,
        **options: Unpack[InjectionOptions],
    ) -> InjectionResource:
        """Add classes to a checkpoint, or to an uploaded head; return the queued injection.

        `on_upload` hears (bytes sent, bytes in all).
        """
        options = {**options, "class_names": class_entries(options.get("class_names"))}
        request = _without_none(add=list(add), head_id=head_id, **options)
        if checkpoint is None:
            return await self._one(InjectionResource, "POST", "/v1/injections", json=request)
        document = json.dumps(request).encode()
        path = "/v1/injections"
        return await self._send(InjectionResource, path, checkpoint, document, on_upload)

    async def upload_head(
        self,
        checkpoint: Path,
        *,
        class_names: ClassNames | None = None,
        head: Mapping[str, Scalar] | None = None,
        key: str | None = None,
        allow_ungrown: Sequence[str] | None = None,
        on_upload: OnUpload | None = None,
    ) -> HeadResource:
        """Upload a checkpoint once, to inject into by `head_id`."""
        named = class_entries(class_names)
        asked = _without_none(class_names=named, head=head, key=key, allow_ungrown=allow_ungrown)
        sent = json.dumps(asked).encode()
        return await self._send(HeadResource, "/v1/heads", checkpoint, sent, on_upload)

    async def upload_features(
        self,
        features: Path | Array,
        labels: Array | None = None,
        *,
        generic: bool = False,
        on_upload: OnUpload | None = None,
    ) -> FeaturesResource:
        """Upload features of pictures: a safetensors file, or (N, D) with labels (N,) or without.

        -1 is the label of a picture whose class is not known. `generic` says that the pictures
        without a label show anything at all, not what the head is used for.
        """
        with (
            features_file(features, labels, generic=generic) as path,
            UploadFile(path, on_upload) as file,
        ):
            part = (path.name, file, "application/octet-stream")
            return await self._one(
                FeaturesResource, "POST", "/v1/features", files={"features": part}
            )

    async def injection(self, id: str) -> InjectionResource:  # the contract's name
        """Return an injection as it is now."""
        return await self._one(InjectionResource, "GET", f"/v1/injections/{id}")

    async def injections(
        self,
        *,
        after: str | None = None,
        limit: int = 20,
        status: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> list[InjectionResource]:
        """Return a page of injections, newest first; `after` an id comes the next page.

        Only those in one of `status`, and with all of `metadata`.
        """
        pairs = [f"{key}={value}" for key, value in (metadata or {}).items()]
        asked = _without_none(after=after, limit=limit, status=list(status), metadata=pairs)
        return (await self._one(InjectionList, "GET", "/v1/injections", params=asked)).data

    async def events(
        self,
        id: str,  # the contract's name
        *,
        after: str | None = None,
        limit: int = 100,
    ) -> list[EventResource]:
        """Return a page of what has happened to an injection, oldest first."""
        asked = _without_none(after=after, limit=limit)
        path = f"/v1/injections/{id}/events/list"
        return (await self._one(EventList, "GET", path, params=asked)).data

    async def head(self, id: str) -> HeadResource:  # the contract's name
        """Return what is known of an uploaded head."""
        return await self._one(HeadResource, "GET", f"/v1/heads/{id}")

    async def heads(self, *, after: str | None = None, limit: int = 20) -> list[HeadResource]:
        """Return a page of uploaded heads, newest first."""
        asked = _without_none(after=after, limit=limit)
        return (await self._one(HeadList, "GET", "/v1/heads", params=asked)).data

    async def features(
        self, *, after: str | None = None, limit: int = 20
    ) -> list[FeaturesResource]:
        """Return a page of uploaded features, newest first."""
        asked = _without_none(after=after, limit=limit)
        return (await self._one(FeaturesList, "GET", "/v1/features", params=asked)).data

    async def wait(
        self,
        id: str,  # the contract's name
        on_progress: OnProgress | None = None,
        timeout_seconds: float | None = None,
    ) -> InjectionResource:
        """Follow an injection to its end and return it; HeadgraftError `timeout` where it lasts.

        `on_progress` hears the injection whenever something of it changed. A service that goes
        away meanwhile is waited for, a minute long.
        """
        watch = Watch(self.transport, self.injection, id, on_progress or _ignore)
        return await watch.to_the_end(timeout_seconds)

    async def result(
        self,
        id: str,  # the contract's name
        on_progress: OnProgress | None = None,
        timeout_seconds: float | None = None,
    ) -> InjectionResource:
        """Wait for an injection; HeadgraftError with the reason where it has not succeeded."""
        ended = await self.wait(id, on_progress, timeout_seconds)
        if ended.status == "succeeded":
            return ended
        code, why = "cancelled", "it was cancelled"
        if ended.error:
            code, why = ended.error.code, ended.error.message
        raise HeadgraftError(None, code, f"{id} {ended.status}: {why} ({code})")

    async def cancel(self, id: str) -> InjectionResource:  # the contract's name
        """Cancel an injection and return it; HeadgraftError `conflict` when it has ended."""
        return await self._one(InjectionResource, "POST", f"/v1/injections/{id}/cancel")

    async def delete(self, id: str) -> None:  # the contract's name
        """Delete an injection that has ended, with its files."""
        await self._ask("DELETE", f"/v1/injections/{id}")

    async def delete_head(self, id: str) -> None:  # the contract's name
        """Delete an uploaded head; HeadgraftError `conflict` while a live injection needs it."""
        await self._ask("DELETE", f"/v1/heads/{id}")

    async def delete_features(self, id: str) -> None:  # the contract's name
        """Delete uploaded features; HeadgraftError `conflict` while a live injection needs them."""
        await self._ask("DELETE", f"/v1/features/{id}")

    async def report(self, id: str) -> Report:  # the contract's name
        """Return the report of a succeeded injection."""
        return await self._one(Report, "GET", f"/v1/injections/{id}/report?format=json")

    async def report_html(self, id: str) -> str:  # the contract's name
        """Return the report of a succeeded injection as a page that needs nothing else."""
        path = f"/v1/injections/{id}/report"
        return (await self._ask("GET", path, params={"format": "html"})).text

    async def download(
        self,
        id: str,  # the contract's name
        target: Path,
        format: Format = "safetensors",  # the contract's name
    ) -> Path:
        """Save the extended checkpoint as `target`, whole and checked or not at all.

        Another `format` is the head alone; a head that is no rows has `native`, `onnx`, `labels`.
        A download that breaks off goes on where it stopped.
        """
        artifacts = {one.name: one.sha256 for one in (await self.injection(id)).artifacts}
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        path = f"/v1/injections/{id}/head?format={format}"
        try:
            found = await FileDownload(self.transport, self._retries, self.url, path).save(part)
            if found != artifacts.get(FILES[format]):
                detail = f"the download hashes to {found}, not {artifacts.get(FILES[format])}"
                raise HeadgraftError(None, "corrupt_download", f"{detail}: try again")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return target

    async def methods(self) -> list[MethodResource]:
        """Return the methods, each with the JSON schema of its settings."""
        return (await self._one(MethodList, "GET", "/v1/methods")).data

    async def encoders(self) -> list[EncoderResource]:
        """Return the text encoders of the workers online."""
        return (await self._one(EncoderList, "GET", "/v1/encoders")).data

    async def _send(
        self,
        kind: type[Resource],
        path: str,
        checkpoint: Path,
        document: bytes,
        on_upload: OnUpload | None,
    ) -> Resource:
        with UploadFile(checkpoint, on_upload) as file:
            # The request goes first: what is wrong with it is answered before the upload is done.
            files: list[tuple[str, Any]] = [
                ("request", (None, document, "application/json")),
                ("checkpoint", (checkpoint.name, file, "application/octet-stream")),
            ]
            return await self._one(kind, "POST", path, files=files)

    async def _one(self, kind: type[Resource], verb: str, path: str, **options: Any) -> Resource:
        reply = await self._ask(verb, path, **options)
        try:
            return kind.model_validate_json(reply.content)
        except ValidationError as error:
            detail = f"{self.url} is no Headgraft of this version"
            raise HeadgraftError(reply.status_code, "not_headgraft", detail) from error

    async def _ask(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, and again where that may help: a key makes a POST count once."""
        if verb == "POST":
            options["headers"] = {"Idempotency-Key": uuid.uuid4().hex}
        tries = 0
        while True:
            tries += 1
            outcome = await self._try(verb, path, **options)
            if isinstance(outcome, httpx.Response) and _is_done(verb, outcome, tries):
                return outcome
            await self._retries.wait(self.transport, self.url, verb, outcome, tries)

    async def _try(
        self, verb: str, path: str, **options: Any
    ) -> httpx.Response | httpx.TransportError:
        try:
            return await self.transport.request(verb, path, **options)
        except httpx.TransportError as error:
            return error


def _is_done(verb: str, reply: httpx.Response, tries: int) -> bool:
    """Tell success: what a repeated DELETE does not find, the one before it has deleted."""
    is_gone = reply.status_code == httpx.codes.NOT_FOUND
    return reply.is_success or (verb == "DELETE" and tries > 1 and is_gone)


def _ignore(_injection: InjectionResource) -> None:
    """Hear nothing."""


# A request's members, of whatever type each has: they leave as JSON, or as a query.
def _without_none(**members: object) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
