"""Tells from the name of a tensor what it is in a network."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Place = Literal["head", "body", "unknown"]

WEIGHTS = ("weight", "weights", "kernel", "w", "coef_", "weight_orig", "weight_v")
NORMED, PARAMETRIZED = "weight.original1", "weight.original"
BIASES = ("bias", "biases", "b", "intercept_", "bias_orig")
# How a mask or a norm is stored beside the weight.
LENGTHS = {"weight_v": "weight_g", NORMED: "weight.original0"}
NO_WEIGHTS = ("weight_g", "weight_mask", "weight.original0", "bias_mask")
PARAMETERS = frozenset((*WEIGHTS, *BIASES, *NO_WEIGHTS, "weight_u"))
# A weight (classes, features) is usual for torch; the others lie either way.
EITHER_WAY = ("kernel", "w", "weights", "coef_", "")
GLUED = re.compile(r"(.+)_(w|b|weights?|kernel|bias|biases)")
PARTS = re.compile(r"[./]")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# What wraps a network, or its last layer, and gives its name to all tensors.
WRAPPERS = _set(
    "module _orig_mod model net network base_model student roi_heads original_module "
    "modules_to_save _fsdp_wrapped_module _checkpoint_wrapped_module"
)
SAVED, UNTRAINED = "modules_to_save", "original_module"
COPIES = _set("ema averaged average swa shadow teacher momentum")
SECONDS = _set("dist distill distillation distilled aux auxlogits auxiliary")
HEADS = _set(
    "head heads fc classifier classifiers classif classification linear logits predictions "
    "prediction cls score class classes label labels auxlogits"
)
CLASSWISE = _set(
    "class classes label labels logit logits prior priors prototype prototypes center centers "
    "centroids criterion loss proxies thresholds"
)
OTHERWISE = _set(
    "pos position positions positional embed embedding embeddings token tokens wte wpe patch rel "
    "relative query queries qkv norm bn ln gamma lora bbox box boxes reg mask lm vocab vocabulary "
    "conv projection projector downsample time"
)
NO_BIASES = _set(
    "prior priors weight weights counts count freq frequencies num mean std var scale "
    "temperature mask threshold thresholds margin u running"
)
LISTS = _set("layer layers block blocks stage stages features h resblocks")
INNER = re.compile(
    r"(layer|stage|block|denseblock|transition|conv|bn|norm|res)_?\d+.*|attn|attention|"
    r"self_attn|self_attention|mlp|ffn|feed_forward|intermediate|se|se_module|squeeze_excite|"
    r"downsample|patch_embed|embeddings|stem|pre_logits"
)
BOXES = _set("bbox box boxes reg mask")


@dataclass(frozen=True)
class TensorName:
    """A tensor's name, taken apart."""

    text: str

    @cached_property
    def _split(self) -> tuple[tuple[str, ...], str]:
        parts = PARTS.split(self.text.removesuffix(":0"))
        if "parametrizations" in parts:
            at = parts.index("parametrizations")
            return tuple(parts[:at]), ".".join(parts[at + 1 :])
        if parts[-1].lower() in PARAMETERS:
            return tuple(parts[:-1]), parts[-1].lower()
        if glued := GLUED.fullmatch(parts[-1]):
            return (*parts[:-1], glued[1]), glued[2]
        return tuple(parts), ""

    @property
    def module(self) -> tuple[str, ...]:
        """The path of the layer it belongs to, as far as the name tells."""
        return self._split[0]

    @property
    def parameter(self) -> str:
        """What it is of the layer: weight, bias, ...; empty where the name does not say."""
        return self._split[1]

    @cached_property
    def parent(self) -> str:
        """All of the name before its last dot or slash."""
        return self.text[: max(self.text.rfind("."), self.text.rfind("/"), 0)]

    @cached_property
    def bare(self) -> tuple[str, ...]:
        """The layer's path without wrappers and copies, and the parameter."""
        kept, skip = [], False
        for part in self.module:
            if not (skip or part in WRAPPERS or words(part) & COPIES):
                kept.append(part)
            skip = part == SAVED
        while len(kept) > 1 and kept[0].isdigit():
            kept.pop(0)
        return (*kept, self.parameter)

    @cached_property
    def words(self) -> frozenset[str]:
        """All words of the name, in lower case."""
        return words(self.text)

    @property
    def is_copy(self) -> bool:
        """Tell whether it is of an averaged copy of the network, or of an untrained one."""
        return UNTRAINED in self.module or bool(words(".".join(self.module)) & COPIES)

    @property
    def is_second(self) -> bool:
        """Tell whether it is of a head beside the first: distilled or auxiliary."""
        return any(words(re.sub(r"\d+", "", part)) & SECONDS for part in self.module)

    @cached_property
    def place(self) -> Place:
        """Tell whether the name is one of a classifier, of another layer, or says neither."""
        path = [part.lower() for part in self.bare[:-1]]
        named = [part for part in path if not part.isdigit()]
        if not named:
            return "unknown"
        last = words(named[-1])
        for at, part in enumerate(path):
            if words(part) & HEADS and not words(part) & OTHERWISE:
                return "head"
            in_list = part in LISTS and path[at + 1 : at + 2] and path[at + 1].isdigit()
            if in_list or INNER.fullmatch(part):
                return "head" if last & {"head", "classifier", "logits"} else "body"
        if last & OTHERWISE:
            of_classes = last & {"class", "classes", "cls", "label"} and last & {"embed"}
            return "head" if of_classes else "body"
        if any(words(part) & HEADS for part in named):
            return "body"  # of boxes, masks, tokens
        return "head" if self.is_second else "unknown"


def words(text: str) -> frozenset[str]:
    """Take a name apart at dots, slashes, underlines, and where capitals begin."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    return frozenset(re.split(r"[^A-Za-z0-9]+", spaced.lower())) - {""}
