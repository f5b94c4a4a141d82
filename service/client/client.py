"""The Python client: `Headgraft`, and `AsyncHeadgraft` for programs with an event loop.

with Headgraft("http://127.0.0.1:8000", key) as service:
    model = service.inject(model, ["axolotl"], class_names=names)
"""

import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack
from urllib.parse import urlsplit

import httpx

from headgraft.arguments import Entry, InjectionOptions
from headgraft.calls import Calls, OnProgress
from headgraft.classifiers import Network
from headgraft.errors import HeadgraftError
from headgraft.networks import inject
from headgraft.pictures import GENERIC, Pictures
from headgraft.retries import RETRIES, Retries
from headgraft.transport import AwaitedTransport, BlockingTransport, run
from headgraft.workers.urls import is_loopback, without_password

DEFAULT_URL = "http://127.0.0.1:8000"
ANSWER_SECONDS = 300.0  # a large upload is stored before it is answered

P = ParamSpec("P")
T = TypeVar("T")


class AsyncHeadgraft(Calls):
    """A service at a URL, for asyncio; `retries` repeats of what may pass, each call.

    Every call raises HeadgraftError where it is refused or not reached.
    """

    def __init__(
        self, url: str = DEFAULT_URL, key: str | None = None, *, retries: int = RETRIES
    ) -> None:
        http = httpx.AsyncClient(**_options(url, key))
        super().__init__(_shown(url), AwaitedTransport(http), Retries(retries))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def inject(
        self,
        model: Network,
        add: Sequence[Entry],
        *,
        classifier: str | None = None,
        pictures: Pictures | None = GENERIC,
        preprocess: Any = None,
        on_progress: OnProgress | None = None,
        **options: Unpack[InjectionOptions],
    ) -> Network:
        """Add classes to a network's classifier and return the network; see `inject`."""
        return await inject(
            self, model, add, classifier, pictures, preprocess, on_progress, options
        )


def _at_once(
    call: Callable[Concatenate[Calls, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[Headgraft, P], T]":
    """Make the call of a program without an event loop from the awaited one."""

    def blocking(self: "Headgraft", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(call(self._calls, *args, **kwargs))

    functools.update_wrapper(blocking, call)
    return blocking


class Headgraft:
    """A service at a URL; every call blocks until it is answered.

    `retries` is how often what may pass is repeated, each call; HeadgraftError says what was
    refused or not reached.
    """

    def __init__(
        self, url: str = DEFAULT_URL, key: str | None = None, *, retries: int = RETRIES
    ) -> None:
        http = httpx.Client(**_options(url, key))
        self._calls = Calls(_shown(url), BlockingTransport(http), Retries(retries))

    @property
    def url(self) -> str:
        """Where the service is, without the password that the URL may hold."""
        return self._calls.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def inject(
        self,
        model: Network,
        add: Sequence[Entry],
        *,
        classifier: str | None = None,
        pictures: Pictures | None = GENERIC,
        preprocess: Any = None,
        on_progress: OnProgress | None = None,
        **options: Unpack[InjectionOptions],
    ) -> Network:
        """Add classes to a network's classifier and return the network; see `inject`."""
        return run(
            inject(self._calls, model, add, classifier, pictures, preprocess, on_progress, options)
        )

    close = _at_once(Calls.close)
    submit = _at_once(Calls.submit)
    wait = _at_once(Calls.wait)
    result = _at_once(Calls.result)
    cancel = _at_once(Calls.cancel)
    injection = _at_once(Calls.injection)
    injections = _at_once(Calls.injections)
    events = _at_once(Calls.events)
    delete = _at_once(Calls.delete)
    download = _at_once(Calls.download)
    report = _at_once(Calls.report)
    report_html = _at_once(Calls.report_html)
    upload_head = _at_once(Calls.upload_head)
    head = _at_once(Calls.head)
    heads = _at_once(Calls.heads)
    delete_head = _at_once(Calls.delete_head)
    upload_features = _at_once(Calls.upload_features)
    features = _at_once(Calls.features)
    delete_features = _at_once(Calls.delete_features)
    methods = _at_once(Calls.methods)
    encoders = _at_once(Calls.encoders)


# The arguments of a client of httpx, blocking or not.
def _options(url: str, key: str | None) -> dict[str, Any]:
    return {
        "base_url": _checked(url.rstrip("/")),
        "headers": _authorization(key),
        "timeout": httpx.Timeout(30, read=ANSWER_SECONDS),
        # A proxy of the environment does not reach what listens on this machine's loopback.
        "trust_env": not is_loopback(urlsplit(url).hostname or ""),
    }


def _shown(url: str) -> str:
    return without_password(url.rstrip("/"))


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return url
    except ValueError:  # a port that is no number
        pass
    detail = f"{without_password(url)!r} is no URL of a service; it looks like {DEFAULT_URL}"
    raise HeadgraftError(None, "invalid_url", detail)


def _authorization(key: str | None) -> dict[str, str]:
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable():  # the library's own error would show the key
        raise HeadgraftError(None, "invalid_key", "the API key holds characters no key can hold")
    return {"Authorization": f"Bearer {key}"} if key else {}
