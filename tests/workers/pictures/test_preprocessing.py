"""How networks of each library want their pictures, and who is asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from headgraft.models.embeddings.torchvision_ops import import_torchvision
from headgraft.models.errors import InjectionError
from headgraft.workers.pictures.preprocessing import imagenet, preprocessing
from tests.service.client import networks


def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(40, 300), (300, 40), (224, 224)])
def test_any_picture_should_become_what_imagenets_networks_read(size: tuple[int, int]) -> None:
    grey = imagenet(Image.new("RGB", size, (124, 116, 104)))

    assert grey.shape == (3, 224, 224)
    assert grey.abs().max() < 0.05  # the mean colour of ImageNet


def test_a_network_of_timm_should_say_it_itself() -> None:
    import_torchvision()  # timm imports it
    from timm.data.transforms_factory import create_transform

    network = networks.timm_network("test_resnet", 4)
    exact: Any = create_transform(
        input_size=(3, 160, 160),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        crop_pct=0.95,
        interpolation="bilinear",
    )

    found = preprocessing(network)(picture())

    assert found.shape == (3, 160, 160)
    torch.testing.assert_close(found, exact(picture()))


def test_the_transforms_of_torchvisions_weights_should_be_taken() -> None:
    import_torchvision()
    from torchvision.models import ResNet18_Weights  # type: ignore[import-untyped]

    weights = ResNet18_Weights.IMAGENET1K_V1
    for given in (weights, weights.transforms()):
        found = preprocessing(networks.torchvision_network("resnet18", 4), given)(picture())
        assert found.shape == (3, 224, 224)
        torch.testing.assert_close(found, weights.transforms()(picture()))


@pytest.fixture
def processor() -> Any:
    import_torchvision()  # transformers imports it
    from transformers import ViTImageProcessor

    return ViTImageProcessor(size={"height": 32, "width": 32})


def test_an_image_processor_of_transformers_should_be_taken(processor: Any) -> None:
    network = networks.hugging_face_network("vit", ["a", "b"])

    found = preprocessing(network, processor)(picture())

    wanted: Tensor = processor(picture(), return_tensors="pt")["pixel_values"][0]
    assert found.shape == (3, 32, 32)
    torch.testing.assert_close(found, wanted)


def test_a_processor_saved_beside_the_network_should_be_found(
    processor: Any, tmp_path: Path
) -> None:
    network: Any = networks.hugging_face_network("vit", ["a", "b"])
    network.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)

    again = type(network).from_pretrained(tmp_path)

    torch.testing.assert_close(
        preprocessing(again)(picture()), preprocessing(network, processor)(picture())
    )


@pytest.mark.parametrize(
    ("network", "given", "says"),
    [
        (nn.Linear(2, 2), None, "Linear does not say how it wants its pictures: give preprocess="),
        (nn.Linear(2, 2), "imagenet", "preprocess cannot be a str: give preprocess="),
        (nn.Linear(2, 2), lambda one: one.size, "preprocess made <class 'tuple'> of a picture"),
        (nn.Linear(2, 2), lambda _: torch.zeros(1, 3, 8, 8), r"made shape \(1, 3, 8, 8\)"),
        (networks.hugging_face_network, None, "does not say how it wants its pictures"),
    ],
)
def test_what_is_no_preprocessing_should_be_answered_by_what_is(
    network: Any, given: Any, says: str
) -> None:
    asked = network if isinstance(network, nn.Module) else network("vit", ["a", "b"])
    with pytest.raises(InjectionError, match=says):
        preprocessing(asked, given)(picture())
