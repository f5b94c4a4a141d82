"""Tiny picture-text models of every kind of text tower that reads prompts; no test lives here."""

import copy
from typing import Any

import torch

from headgraft.models.embeddings.text_tower import TextTower
from headgraft.models.embeddings.torchvision_ops import import_torchvision
from tests.models.conftest import TINY

# What each kind adds to the tiny model's text settings.
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quick-gelu": {},
    "text module": {},
    "sees padding": {"no_causal_mask": True},
    "pooled at a token": {"pool_type": "eos", "eos_id": 49407},
    "pooled at the first": {"pool_type": "first", "no_causal_mask": True},
    "own class token": {"embed_cls": True, "output_tokens": True, "context_length": 76},
}


def make_network(kind: str = "plain", seed: int = 0, size: int = 16) -> tuple[Any, Any]:
    """Make a random network of a kind with features of `size` numbers, and its tokenizer."""
    import_torchvision()
    from open_clip import CoCa, CustomTextCLIP, SimpleTokenizer
    from open_clip.model import CLIP

    config = copy.deepcopy(TINY)
    config["embed_dim"] = size
    config["text_cfg"] |= KINDS[kind]
    if kind == "own class token":
        config["multimodal_cfg"] = {"width": 16, "heads": 2, "layers": 1, "context_length": 76}
        config["vision_cfg"] |= {"attentional_pool": True, "output_tokens": True}
    if kind == "quick-gelu":
        config["quick_gelu"] = True
    makers = {"own class token": CoCa, "text module": CustomTextCLIP}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = makers.get(kind, CLIP)(**config)
    return network.eval(), SimpleTokenizer(context_length=config["text_cfg"]["context_length"])


def make_tower(kind: str = "plain", seed: int = 0, size: int = 16) -> TextTower:
    """Make a tower of a kind: width 16, features of `size` numbers."""
    return TextTower(*make_network(kind, seed, size))
