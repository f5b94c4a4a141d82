"""Runs a user's network over pictures, and uploads what its classifier reads of them.

Pictures never leave the machine. The packages this needs come with the extra `pictures`; they are
imported when a network is given, as torch is.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headgraft.calls import Calls
from headgraft.errors import HeadgraftError
from headgraft.retries import log

GENERIC = "generic"
# GENERIC, a folder, or whatever yields PIL pictures, paths, or tensors as the network reads them.
Pictures = str | Path | Iterable[Any]
NEEDS_MORE = "pictures need more than the client: pip install 'headgraft[pictures]'"


async def upload_pictures(
    calls: Calls,
    network: Any,
    classifier: Any,
    pictures: Pictures,
    preprocess: Any,
) -> str | None:
    """Upload what a classifier reads of pictures, and return the id of these features.

    A user's own pictures that cannot be used are a HeadgraftError
    (`invalid_pictures`). Generic ones are a help that was not asked for: where they cannot be
    used, the result is None and the reason a warning in the log.
    """
    own = None if is_generic(pictures) else pictures

    try:
        features_ND = await calls.transport.compute(
            lambda: _features(network, classifier, own, preprocess)
        )
    except Exception as error:  # a network of the user's may raise anything
        reason = _reason(error)
        if own is not None:
            if reason is None:
                raise
            raise HeadgraftError(None, "invalid_pictures", reason) from error
        log.warning(
            "the new classes are calibrated without pictures: %s (pictures=None asks for none)",
            reason or f"{type(error).__name__}: {error}",
        )
        return None
    return (await calls.upload_features(features_ND, generic=own is None)).id


def is_generic(pictures: Pictures) -> bool:
    """Tell generic pictures from a user's own."""
    return isinstance(pictures, str) and pictures == GENERIC


def _reason(error: Exception) -> str | None:
    """Say why pictures cannot be used; None for an error of the network's own."""
    from headgraft.models.errors import InjectionError

    if isinstance(error, ImportError):
        return f"{NEEDS_MORE} ({error})"
    return str(error) if isinstance(error, InjectionError) else None


def _features(network: Any, classifier: Any, pictures: Pictures | None, preprocess: Any) -> Any:
    """Return what the classifier reads of pictures (N, D); of generic ones where none are given."""
    from headgraft.workers.pictures.pooled import generic_features, given_features

    with _progress_bar() as show:
        if pictures is None:
            return generic_features(network, classifier, preprocess, show)
        return given_features(network, classifier, pictures, preprocess, show)


@contextmanager
def _progress_bar() -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("pictures", total=None)

        def show(done: int, count: int | None) -> None:
            progress.update(task, completed=done, total=count)

        yield show
