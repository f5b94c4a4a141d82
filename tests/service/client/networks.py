"""Networks without trained weights, as timm, torchvision and transformers build and name them."""

from typing import Any

import torch
from torch import nn

from headgraft.models.embeddings.torchvision_ops import import_torchvision

TIMM = ("resnet18", "vit_tiny_patch16_224", "efficientnet_lite0")
TORCHVISION = ("resnet18", "mobilenet_v3_small", "vit")
HUGGING_FACE = ("resnet", "vit")


def timm_network(name: str, classes: int = 1000) -> nn.Module:
    """Build one of timm's, seeded, ready to answer."""
    import_torchvision()  # timm imports it
    import timm

    torch.manual_seed(0)
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    return network.eval()


def torchvision_network(kind: str, classes: int) -> nn.Module:
    """Build one of torchvision's: a small ViT, or one that it has by name."""
    import_torchvision()
    import torchvision  # type: ignore[import-untyped]  # it has no types

    torch.manual_seed(0)
    network: nn.Module
    if kind == "vit":
        network = torchvision.models.VisionTransformer(32, 16, 1, 2, 24, 48, num_classes=classes)
        nn.init.normal_(network.get_parameter("heads.head.weight"))  # all zeros else
    else:
        network = torchvision.models.get_model(kind, weights=None, num_classes=classes)
    return network.eval()


def hugging_face_network(kind: str, names: list[str]) -> nn.Module:
    """Build a small ResNet or ViT of transformers, its classes named in its config."""
    import_torchvision()  # transformers imports it
    from transformers import (
        ResNetConfig,
        ResNetForImageClassification,
        ViTConfig,
        ViTForImageClassification,
    )

    torch.manual_seed(0)
    labels: dict[str, Any] = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
    }
    if kind == "resnet":
        small = ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 8, 8, 24], depths=[1, 1, 1, 1], layer_type="basic"
        )
        small.update(labels)
        resnet: nn.Module = ResNetForImageClassification(small)
        return resnet.eval()
    vit = ViTConfig(
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=32,
        patch_size=16,
        **labels,
    )
    transformer: nn.Module = ViTForImageClassification(vit)
    return transformer.eval()
