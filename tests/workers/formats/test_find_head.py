"""What of a checkpoint is its head, by names and shapes as people's files have them."""

from collections.abc import Mapping, Sequence

import pytest

from headgraft.workers.formats.find_head import find_head
from headgraft.workers.formats.header import Header, HeaderError, TensorEntry

C, D = 20, 8
Shapes = Mapping[str, Sequence[int]]
LAYER: Shapes = {"weight": (C, D), "bias": (C,)}
PEFT = "base_model.model.classifier"


def header(shapes: Shapes) -> Header:
    entries = {name: TensorEntry(name, "F32", tuple(shape), 0, 0) for name, shape in shapes.items()}
    return Header(entries, {}, 0)


def layer(*names: str) -> Shapes:
    return {f"{name}.{part}": shape for name in names for part, shape in LAYER.items()}


@pytest.mark.parametrize(
    ("shapes", "grown"),
    [
        ({"coef_": (C, D), "intercept_": (C,)}, "coef_ intercept_"),
        ({"W": (D, C), "b": (C,)}, "W b"),
        ({"theta": (C, D), "theta0": (C,)}, "theta theta0"),
        ({"cls_score_w": (C, D), "cls_score_b": (C,)}, "cls_score_w cls_score_b"),
        ({"fc.weight": (C, D), "fc.class_prior": (D,)}, "fc.weight"),
        ({"head/kernel": (D, C), "head/bias": (C,)}, "head/kernel head/bias"),
        ({"predictions/kernel:0": (D, C)}, "predictions/kernel:0"),
        ({"zeroshot_weights": (D, C)}, "zeroshot_weights"),
        ({"kernel": (C, C)}, "kernel"),
        ({"classifier.1.weight": (C, D, 1, 1), "classifier.1.bias": (C,)},
         "classifier.1.weight classifier.1.bias"),
        ({"net/Logits/Conv2d_1c_1x1/weights": (1, 1, D, C)}, "net/Logits/Conv2d_1c_1x1/weights"),
        ({"fc.weight_g": (C, 1), "fc.weight_v": (C, D), "fc.bias": (C,)},
         "fc.weight_v fc.bias fc.weight_g"),
        ({"fc.parametrizations.weight.original0": (C, 1),
          "fc.parametrizations.weight.original1": (C, D)},
         "fc.parametrizations.weight.original1 fc.parametrizations.weight.original0"),
        (layer("head", "head_dist"), "head.weight head.bias head_dist.weight head_dist.bias"),
        (layer("head", "aux_head"), "head.weight head.bias aux_head.weight aux_head.bias"),
        (layer("fc", "AuxLogits.fc"), "fc.weight fc.bias AuxLogits.fc.weight AuxLogits.fc.bias"),
        ({"head.0.weight": (C, D), "head.1.weight": (C, 2 * D)}, "head.0.weight head.1.weight"),
        (layer("model.fc", "ema_model.fc"),
         "model.fc.weight model.fc.bias ema_model.fc.weight ema_model.fc.bias"),
        (layer(f"{PEFT}.original_module", f"{PEFT}.modules_to_save.default"),
         f"{PEFT}.modules_to_save.default.weight {PEFT}.modules_to_save.default.bias "
         f"{PEFT}.original_module.weight {PEFT}.original_module.bias"),
        ({"fc.1.weight": (C, D), "embed_tokens.weight": (C, D)}, "fc.1.weight"),
        ({"classifier.0.weight": (C, D), "classifier.3.weight": (C, C)}, "classifier.3.weight"),
        ({"head.mlp.fc2.weight": (C, D), "layers.0.fc1.weight": (C, D)}, "head.mlp.fc2.weight"),
    ],
)  # fmt: skip
def test_all_tensors_of_a_head_should_be_found(shapes: Shapes, grown: str) -> None:
    assert find_head(header(shapes), class_count=C).grown == grown.split()


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ({"theta": (C, D), "p": (C,), "q": (C,)}, "could be the bias of 'theta': 'p', 'q'"),
        ({"fc.weight_orig": (C, D), "fc.weight_mask": (C, D)}, r"is pruned \('fc.weight_mask'\)"),
        ({"fc.weight_g": (), "fc.weight_v": (C, D)}, "weight norm that does not take a length per"),
        ({"fc.parametrizations.weight.original": (C, D)}, "remove the parametrization"),
        ({"fc.weight_orig": (C, D), "fc.weight_u": (C,)}, "'fc.weight_u' would keep 20 entries"),
        ({"fc.weight": (C, D), "fc.lora_B.default.weight": (C, 2)}, "'fc.lora_B.default.weight'"),
        ({"fc.weight": (C, D), "criterion.weight": (C,)}, "'criterion.weight' would keep 20"),
        ({"fc.weight": (C, D), "fc_old.weight": (C, D)}, "2 tensors could be the head"),
        ({"r.box.cls_score.weight": (C + 1, D), "r.box.bbox_pred.weight": (4 * C, D)},
         "'r.box.bbox_pred.weight'"),
        ({"pos_embed": (C, D)}, "no classifier of 20 classes.*'pos_embed'.*name it as head.weight"),
        ({"lm_head.weight": (C, D), "model.embed_tokens.weight": (C, D)}, "no classifier of 20"),
        ({"layers.0.mlp.fc2.weight": (C, D)}, "by name it is another kind of layer"),
        ({"conv1.weight": (C, 3, 7, 7)}, "it has no classifier of so many classes"),
    ],
)  # fmt: skip
def test_what_is_no_whole_head_should_be_refused_by_name(shapes: Shapes, complaint: str) -> None:
    count = C + 1 if "r.box.cls_score.weight" in shapes else C
    with pytest.raises(HeaderError, match=complaint):
        find_head(header(shapes), class_count=count)


def test_one_output_should_be_said_to_be_one() -> None:
    with pytest.raises(HeaderError, match=r"'fc.weight' .* has one row: a head of one output"):
        find_head(header({"fc.weight": (1, D), "fc.bias": (1,)}), class_count=2)


def test_what_may_stay_should_be_left_and_named() -> None:
    shapes = {"fc.weight": (C, D), "criterion.weight": (C,), "loss.prior": (C,)}
    found = find_head(header(shapes), class_count=C, allow_ungrown=["criterion.*", "loss.prior"])
    assert (found.grown, found.ungrown) == (["fc.weight"], ("criterion.weight", "loss.prior"))
    with pytest.raises(HeaderError, match=r"names 'center'.*it has, beside the head, 'criterion"):
        find_head(header(shapes), class_count=C, allow_ungrown=["*", "center"])


def test_layers_as_wide_as_there_are_classes_should_be_left_and_named() -> None:
    body: Shapes = {"layer1.0.conv1.weight": (C, 3, 3, 3), "bn1.weight": (C,), "x.weight": (9, C)}
    found = find_head(header({**layer("fc"), **body}), class_count=C)
    assert found.grown == ["fc.weight", "fc.bias"]
    assert found.ungrown == ("layer1.0.conv1.weight", "bn1.weight")
