"""What a network's classifier reads of pictures: generic ones, or those that are given."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Self

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from headgraft.workers.pictures.backbone import Backbone
from headgraft.workers.pictures.folder import SUFFIXES, open_picture, picture_error
from headgraft.workers.pictures.generic import crop_count, generic_crops
from headgraft.workers.pictures.preprocessing import Transform, preprocessing

BATCH = 16
# A job can be stopped between batches: one takes a few seconds at most on two cores.
BATCH_OPERATIONS = 10**11
# Called after each batch with the number of pictures done, and of all, None where it is not known.
OnPictures = Callable[[int, int | None], None]


def generic_features(
    network: nn.Module, classifier: nn.Module, preprocess: Any, on_pictures: OnPictures
) -> Tensor:
    """Return what a classifier reads of generic pictures (N, D), float32, on the CPU.

    `preprocess` is as for `preprocessing`. N depends on how many operations the network takes for
    one picture. InjectionError where it cannot be run on them.
    """
    transform = preprocessing(network, preprocess)
    with _evaluating(network):
        [first] = generic_crops(1)
        operations = max(1, _operations(network, transform(first)))
        count, size = crop_count(operations), min(BATCH, max(1, BATCH_OPERATIONS // operations))
        batches = _batches(generic_crops(count), transform, size)
        return _features(network, classifier, batches, count, on_pictures)


def given_features(
    network: nn.Module,
    classifier: nn.Module,
    pictures: str | Path | Iterable[Any],
    preprocess: Any,
    on_pictures: OnPictures,
) -> Tensor:
    """Return what a classifier reads of a user's pictures (N, D), float32, on the CPU.

    They are a folder, or any iterable of PIL pictures, of paths, of tensors (3, H, W) as the
    network reads them, or of batches of those as a DataLoader yields them; labels beside a batch
    are not looked at. InjectionError for anything else.
    """
    if isinstance(pictures, str | Path):
        pictures = _in_folder(Path(pictures))
    count = len(pictures) if isinstance(pictures, list | tuple) else None

    @cache
    def wanted() -> Transform:  # asked for when a picture needs it: tensors do not
        return preprocessing(network, preprocess)

    with _evaluating(network):
        batches = _batches(pictures, lambda one: wanted()(one), BATCH)
        return _features(network, classifier, batches, count, on_pictures)


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its modules back into its own mode."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _operations(network: nn.Module, picture: Tensor) -> int:
    """Count the floating-point operations that a network takes for one picture (3, H, W)."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()
    with counter, torch.no_grad():
        network(_placed(picture[None], network))
    return int(counter.get_total_flops())


class _NoModules(ModuleTracker):
    """Counts no module's part: torch's own fails where a parameter is the input of one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Leave the modules as they are, too."""


def _features(
    network: nn.Module,
    classifier: nn.Module,
    batches: Iterable[Tensor],
    count: int | None,
    on_pictures: OnPictures,
) -> Tensor:
    backbone, parts, done = Backbone(network, classifier=classifier), [], 0
    on_pictures(0, count)
    for batch in batches:
        features_ND = backbone.pooled(_placed(batch, network)).detach().to("cpu", torch.float32)
        if not torch.isfinite(features_ND).all():
            raise picture_error("the network makes NaN or infinity of a picture")
        parts.append(features_ND)
        done += len(batch)
        on_pictures(done, count)
    if not parts:
        raise picture_error("there is no picture")
    return torch.cat(parts)


def _placed(batch: Tensor, network: nn.Module) -> Tensor:
    """Move pictures to a network's device, in its floating-point type."""
    for tensor in chain(network.parameters(), network.buffers()):
        if tensor.is_floating_point():
            return batch.to(tensor.device, tensor.dtype)
    return batch


def _batches(pictures: Iterable[Any], transform: Transform, size: int) -> Iterator[Tensor]:
    waiting: list[Any] = []
    # Threads, since PIL works without the interpreter's lock.
    with ThreadPoolExecutor() as threads:

        def stacked() -> Tensor:
            tensors = list(threads.map(lambda one: _tensor(one, transform), waiting))
            shapes = {tuple(tensor.shape) for tensor in tensors}
            if len(shapes) > 1:
                raise picture_error(f"pictures of one batch differ in shape: {sorted(shapes)[:3]}")
            waiting.clear()
            return torch.stack(tensors)

        for given in pictures:
            picture = given[0] if isinstance(given, tuple | list) and len(given) else given
            if isinstance(picture, Tensor) and picture.ndim == 4:
                yield picture
                continue
            waiting.append(picture)
            if len(waiting) == size:
                yield stacked()
        if waiting:
            yield stacked()


def _tensor(picture: Any, transform: Transform) -> Tensor:
    if isinstance(picture, Tensor) and picture.ndim == 3:
        return picture
    if isinstance(picture, str | Path):
        picture = open_picture(Path(picture))
    if not isinstance(picture, Image):
        shown = f"tensor of shape {tuple(picture.shape)}" if isinstance(picture, Tensor) else None
        raise picture_error(
            f"a picture cannot be a {shown or type(picture).__name__}: legal are PIL pictures, "
            "paths, tensors (3, H, W), and batches of those (N, 3, H, W)"
        )
    return transform(picture.convert("RGB"))


def _in_folder(folder: Path) -> list[Path]:
    """List the pictures in a folder and in those below it; InjectionError where there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise picture_error(f"{folder} has no picture; legal are {', '.join(SUFFIXES)}")
    return paths
