"""Makes of a picture what a network reads, as timm, torchvision or transformers say it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn

from headgraft.models.embeddings.torchvision_ops import import_torchvision
from headgraft.workers.pictures.folder import picture_error

Transform = Callable[[Image], Tensor]
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESIZED, CROPPED = 256, 224
HOW_TO_SAY = (
    "give preprocess=: transforms() of torchvision's weights, the image processor of "
    "transformers, or a function that makes a tensor (3, H, W) of a PIL picture"
)


def imagenet(picture: Image) -> Tensor:
    """Make of a picture what networks for ImageNet read: (3, 224, 224), its middle, normalised."""
    scale = RESIZED / min(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    left, top = ((side - CROPPED) // 2 for side in size)
    middle = picture.resize(size).crop((left, top, left + CROPPED, top + CROPPED))
    pixels_HW3 = torch.from_numpy(np.array(middle, np.float32)) / 255
    return ((pixels_HW3 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)).permute(2, 0, 1)


def preprocessing(network: nn.Module, given: Any = None) -> Transform:
    """Return how a network wants its pictures: as `given`, or as the network itself says.

    InjectionError where neither does.
    """
    if given is not None:
        return _transform(given)
    if getattr(network, "pretrained_cfg", None) or getattr(network, "default_cfg", None):
        return timm_preprocessing(network)
    processor = _own_processor(network)
    if processor is None:
        name = type(network).__name__
        raise picture_error(f"{name} does not say how it wants its pictures: {HOW_TO_SAY}")
    return _transform(processor)


def timm_preprocessing(network: nn.Module) -> Transform:
    """Return how a network of timm wants its pictures, as its configuration says."""
    import_torchvision()  # timm imports it
    from timm.data import config, transforms_factory

    wanted = config.resolve_data_config({}, model=network)  # type: ignore[no-untyped-call] # timm's
    transform: Transform = transforms_factory.create_transform(**wanted)
    return transform


def _own_processor(network: nn.Module) -> Any:
    """Return the image processor saved beside a network of transformers; None without one."""
    saved = getattr(getattr(network, "config", None), "_name_or_path", None)
    if not saved:
        return None
    import_torchvision()  # transformers imports it
    from transformers import AutoImageProcessor

    load: Any = AutoImageProcessor.from_pretrained
    try:
        return load(saved, local_files_only=True)
    except (OSError, ValueError, ImportError):
        return None


def _transform(given: Any) -> Transform:
    """Return a function from a picture to a tensor, of whatever the libraries call a transform."""
    if hasattr(given, "transforms") and not isinstance(given.transforms, list):
        given = given.transforms()  # the weights of torchvision
    if not callable(given):
        raise picture_error(f"preprocess cannot be a {type(given).__name__}: {HOW_TO_SAY}")
    is_processor = hasattr(given, "model_input_names")

    def transform(picture: Image) -> Tensor:
        made = given(picture, return_tensors="pt") if is_processor else given(picture)
        if isinstance(made, Mapping) and "pixel_values" in made:
            made = made["pixel_values"][0]
        if not isinstance(made, Tensor) or made.ndim != 3:
            shown = f"shape {tuple(made.shape)}" if isinstance(made, Tensor) else f"{type(made)}"
            raise picture_error(f"preprocess made {shown} of a picture, not a tensor (3, H, W)")
        return made

    return transform
