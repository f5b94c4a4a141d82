"""What networks of different makers see in pictures, pooled and region by region."""

import pytest
import torch
from torch import nn

from headgraft.models.errors import InjectionError
from headgraft.workers.pictures.backbone import Backbone
from tests.service.client.networks import hugging_face_network, timm_network, torchvision_network


def some_pictures(side: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_pooled_features_should_be_what_the_last_layer_reads() -> None:
    network = timm_network("resnet18", 7)

    features_ND = Backbone(network).pooled(some_pictures())

    assert features_ND.shape == (2, 512)
    fc = network.get_submodule("fc")
    with torch.no_grad():
        torch.testing.assert_close(fc(features_ND), network(some_pictures()))


def test_the_regions_of_a_residual_network_should_average_to_what_is_pooled() -> None:
    backbone = Backbone(timm_network("resnet18", 7))

    features_NDHW = backbone.regions(some_pictures(96))

    assert features_NDHW.shape == (2, 512, 3, 3)
    torch.testing.assert_close(features_NDHW.mean(dim=(2, 3)), backbone.pooled(some_pictures(96)))


def test_a_transformers_regions_should_be_its_tokens_without_the_class_token() -> None:
    backbone = Backbone(timm_network("vit_tiny_patch16_224", 7))

    assert backbone.regions(some_pictures(224)).shape == (2, 192, 196)
    assert backbone.pooled(some_pictures(224)).shape == (2, 192)


@pytest.mark.parametrize(("kind", "size"), [("resnet18", 512), ("mobilenet_v3_small", 1024)])
def test_a_network_of_torchvision_should_be_watched(kind: str, size: int) -> None:
    backbone = Backbone(torchvision_network(kind, 7))

    pooled_ND, map_NDHW = backbone.pooled(some_pictures(96)), backbone.regions(some_pictures(96))

    assert pooled_ND.shape == (2, size)
    assert map_NDHW.ndim == 4
    assert map_NDHW.shape[2:] == (3, 3)


def test_a_network_of_transformers_should_be_watched() -> None:
    backbone = Backbone(hugging_face_network("resnet", ["a", "b"]))

    assert backbone.pooled(some_pictures()).shape == (2, 24)
    assert backbone.regions(some_pictures()).shape == (2, 24, 2, 2)


def test_a_layer_that_is_named_should_be_the_one() -> None:
    network = torchvision_network("resnet18", 7)

    assert Backbone(network, "layer3").regions(some_pictures()).shape == (2, 256, 4, 4)


def test_a_network_without_its_classifier_should_give_what_it_gives() -> None:
    bare = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    assert Backbone(bare).pooled(some_pictures()).shape == (2, 4)
    assert Backbone(bare).regions(some_pictures()).shape == (2, 4, 62, 62)


def test_a_layer_that_is_not_there_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="no module 'layer9'; it has conv1, bn1"):
        Backbone(torchvision_network("resnet18", 7), "layer9")


def test_a_network_without_a_map_should_be_told_to_name_a_layer() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 5), nn.Linear(5, 2))

    with pytest.raises(InjectionError, match="name one as layer"):
        Backbone(flat).regions(some_pictures())
    with pytest.raises(InjectionError, match="no map of regions"):
        Backbone(flat, "1").regions(some_pictures())


def test_a_network_that_gives_maps_should_be_refused_as_pooled() -> None:
    with pytest.raises(InjectionError, match="take its classifier off"):
        Backbone(nn.Sequential(nn.Conv2d(3, 4, 3))).pooled(some_pictures())


def test_nothing_should_stay_hooked() -> None:
    network = torchvision_network("resnet18", 7)

    Backbone(network).pooled(some_pictures())

    assert not any(module._forward_hooks for module in network.modules())
