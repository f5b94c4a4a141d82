"""evaluation: from two files to accuracies that were worked out by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError
from headgraft.models.heads.checkpoint import write_tensors
from headgraft.models.heads.head import Head
from headgraft.models.heads.semantic import SemanticHead
from headgraft.models.metrics import evaluate
from headgraft.workers.evaluate.heads import RowOptions
from headgraft.workers.evaluate.score import EvaluationRequest, evaluate_head
from headgraft.workers.formats.header import HeaderError
from tests import xlsa17_files
from tests.models.builders import make_attribute_head, some_regions

NAMES = ["a", "b", "x", "y"]
PICTURES = np.array(
    [
        [9.0, 0, 0, 0],  # a: right
        [0.0, 5, 9, 0],  # a: seen b, and unseen x above it
        [0.0, 9, 0, 0],  # b: right
        [9.0, 0, 5, 0],  # x: right among the unseen only
        [0.0, 0, 9, 0],  # x: right
        [0.0, 0, 9, 5],  # y: wrong
    ]
)
LABELS = np.array([0, 0, 1, 2, 2, 3])


def save_head(path: Path, **metadata: str) -> Path:
    """Write a head whose logits are the features themselves; a picture says what it scores."""
    tensors = {"conv.weight": torch.ones(4, 3, 2), "fc.weight": torch.eye(4)}
    save_file(tensors, path, metadata=metadata)
    return path


@pytest.fixture
def evaluated(tmp_path: Path) -> EvaluationRequest:
    head = save_head(tmp_path / "h.safetensors", class_names=json.dumps(NAMES), seen_count="2")
    np.savez(tmp_path / "p.npz", features=PICTURES, labels=LABELS)
    return EvaluationRequest(head, tmp_path / "p.npz")


def listed(path: Path, names: list[str]) -> Path:
    path.write_text("\n".join(names))
    return path


def figures(evaluated: EvaluationRequest) -> tuple[float, float, float, float]:
    scores = evaluate_head(evaluated).scores
    return scores.T1, scores.u, scores.s, scores.H


BY_HAND = pytest.approx((0.5, 0.25, 0.75, 0.375))


def test_a_result_should_be_scored_by_what_its_metadata_says(evaluated: EvaluationRequest) -> None:
    evaluation = evaluate_head(evaluated)

    assert figures(evaluated) == BY_HAND
    assert (evaluation.seen.classes, evaluation.seen.pictures) == (2, 3)
    assert (evaluation.unseen.classes, evaluation.unseen.pictures) == (2, 3)
    assert evaluation.unseen.without_picture == ()
    assert evaluation.tensors.weight == "fc.weight"
    assert evaluation.scores.base == pytest.approx(2 / 3)
    assert evaluation.scores.new == pytest.approx(2 / 3)
    assert evaluation.notes == ()


def test_a_head_without_metadata_should_be_scored_with_what_is_given(
    evaluated: EvaluationRequest, tmp_path: Path
) -> None:
    bare = replace(evaluated, head=save_head(tmp_path / "bare.safetensors"))
    named = replace(bare, names=listed(tmp_path / "names", NAMES))

    with pytest.raises(InjectionError, match=r"not say which classes its rows are: .*--names"):
        evaluate_head(bare)
    with pytest.raises(InjectionError, match=r"which of its 4 classes are unseen: .*--seen-count"):
        evaluate_head(named)
    assert figures(replace(named, seen_count=2)) == BY_HAND
    assert figures(replace(named, unseen=listed(tmp_path / "new", ["y: a letter", "x"]))) == BY_HAND


def test_labels_that_count_other_names_should_find_their_rows(
    evaluated: EvaluationRequest, tmp_path: Path
) -> None:
    other = ["y", "b", "unused", "x", "a"]
    labels = [other.index(NAMES[label]) for label in LABELS]
    np.savez(tmp_path / "o.npz", features=PICTURES, labels=labels)
    np.savez(tmp_path / "named.npz", features=PICTURES, labels=labels, class_names=other)

    moved = replace(evaluated, features=tmp_path / "o.npz")
    assert figures(replace(moved, label_names=listed(tmp_path / "l", other))) == BY_HAND
    assert figures(replace(evaluated, features=tmp_path / "named.npz")) == BY_HAND


def test_classes_without_a_picture_should_be_named(
    evaluated: EvaluationRequest, tmp_path: Path
) -> None:
    chosen = LABELS != 3
    np.savez(tmp_path / "p.npz", features=PICTURES[chosen], labels=LABELS[chosen])

    evaluation = evaluate_head(evaluated)

    assert evaluation.unseen.without_picture == ("y",)
    assert evaluation.scores.T1 == 1.0


def test_a_side_without_any_picture_should_be_refused(
    evaluated: EvaluationRequest, tmp_path: Path
) -> None:
    np.savez(tmp_path / "p.npz", features=PICTURES[:3], labels=LABELS[:3])
    with pytest.raises(InjectionError, match="none of the 2 unseen classes has a picture"):
        evaluate_head(evaluated)


def test_another_split_than_the_files_should_be_noted(evaluated: EvaluationRequest) -> None:
    assert evaluate_head(replace(evaluated, seen_count=3)).notes == (
        "the head says that its last 2 classes were the injected ones",
    )


def test_features_of_another_size_should_be_refused_with_both(
    evaluated: EvaluationRequest, tmp_path: Path
) -> None:
    np.savez(tmp_path / "p.npz", features=PICTURES[:, :3], labels=LABELS)
    with pytest.raises(InjectionError, match=r"3 numbers a picture; the head 'fc.weight' .* 4"):
        evaluate_head(evaluated)


def test_a_cosine_head_should_not_mind_the_length_of_its_rows(
    evaluated: EvaluationRequest, tmp_path: Path
) -> None:
    weight = torch.diag(torch.tensor([1.0, 9.0, 1.0, 30.0]))
    metadata = {"class_names": json.dumps(NAMES), "seen_count": "2"}
    save_file({"w": weight}, tmp_path / "h.safetensors", metadata=metadata)

    assert figures(evaluated) != BY_HAND
    assert figures(replace(evaluated, row_options=RowOptions("w", metric="cosine"))) == BY_HAND
    with pytest.raises(InjectionError, match=r"--head-scale -1.0 must be a positive number"):
        evaluate_head(replace(evaluated, row_options=RowOptions(scale=-1.0)))


def test_defects_of_the_head_should_be_named(evaluated: EvaluationRequest, tmp_path: Path) -> None:
    with pytest.raises(HeaderError, match="has no tensor 'nowhere'"):
        evaluate_head(replace(evaluated, row_options=RowOptions("nowhere")))
    with pytest.raises(HeaderError, match=r"you gave 3 class names, 'fc\.weight' has 4 rows"):
        evaluate_head(replace(evaluated, names=listed(tmp_path / "three", NAMES[:3])))
    (tmp_path / "h.pt").write_bytes(b"PK\x03\x04 not safetensors")
    with pytest.raises(InjectionError, match=r"h\.pt is not a readable safetensors file"):
        evaluate_head(replace(evaluated, head=tmp_path / "h.pt"))


def save_semantic(path: Path) -> SemanticHead:
    """Write a head of two seen and two unseen classes that compares two-number embeddings."""
    seen = Head(torch.eye(4)[:2], None, ("a", "b"))
    embeddings = normalize(torch.tensor([[1.0, 0], [0, 1], [1, 0.5], [0.5, 1]]))
    head = SemanticHead(seen, embeddings, tuple(NAMES), 5.0, 0.1)
    save_file(head.state_dict(), path, head.metadata())
    return head


def test_a_head_that_compares_embeddings_should_be_scored_as_it_says(
    evaluated: EvaluationRequest, tmp_path: Path
) -> None:
    head = save_semantic(tmp_path / "h.safetensors")

    evaluation = evaluate_head(evaluated)

    features_ND = torch.from_numpy(PICTURES).float()
    unseen_C = torch.tensor([False, False, True, True])
    assert evaluation.scores == evaluate(head, features_ND, torch.from_numpy(LABELS), unseen_C)
    assert evaluation.scores.T1 > 0
    assert (evaluation.seen.classes, evaluation.unseen.classes) == (2, 2)
    assert evaluation.tensors.feature_size == 4
    with pytest.raises(InjectionError, match=r"says itself how to read it: leave out --names"):
        evaluate_head(replace(evaluated, names=listed(tmp_path / "names", NAMES)))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"unseen": Path("u"), "seen_count": 2}, "give one of them"),
        ({"splits": Path("s.mat")}, r"--splits s.mat goes with the .mat features"),
    ],
)
def test_options_that_contradict_each_other_should_be_refused(
    evaluated: EvaluationRequest, options: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InjectionError, match=complaint):
        evaluate_head(replace(evaluated, **options))  # type: ignore[arg-type]  # the cases name real fields


def test_a_head_that_looks_at_regions_should_be_scored_on_features_of_regions(
    tmp_path: Path,
) -> None:
    head = make_attribute_head()
    write_tensors(tmp_path / "h.safetensors", head.state_dict(), head.metadata())
    features_NDHW = some_regions(40).view(40, 6, 2, 2)
    labels_N = torch.arange(40) % 8
    save_file({"features": features_NDHW, "labels": labels_N}, tmp_path / "f.safetensors")
    evaluated = EvaluationRequest(tmp_path / "h.safetensors", tmp_path / "f.safetensors")

    evaluation = evaluate_head(evaluated)

    unseen_C = torch.arange(8) >= 6
    assert evaluation.scores == evaluate(head, features_NDHW, labels_N, unseen_C)
    assert (evaluation.seen.classes, evaluation.unseen.classes) == (6, 2)
    assert evaluation.tensors.feature_size == 6
    pooled = {"features": features_NDHW.mean(dim=(2, 3)), "labels": labels_N}
    save_file(pooled, tmp_path / "p.safetensors")
    with pytest.raises(InjectionError, match=r"reads features of regions; .* shape \(40, 6\)"):
        evaluate_head(replace(evaluated, features=tmp_path / "p.safetensors"))


def test_rows_should_not_be_scored_on_features_of_regions(
    evaluated: EvaluationRequest, tmp_path: Path
) -> None:
    regions = {"features": torch.ones(4, 4, 3), "labels": torch.arange(4)}
    save_file(regions, tmp_path / "r.safetensors")

    with pytest.raises(InjectionError, match="reads one feature a picture"):
        evaluate_head(replace(evaluated, features=tmp_path / "r.safetensors"))


def planted_head(path: Path, made: xlsa17_files.Made, order: list[int]) -> Path:
    """Write the class means as rows, in an order of their own: they recognise every picture."""
    features_ND, labels = made.arrays["res101"]["features"].T, made.labels
    means_CD = np.stack([features_ND[labels == label].mean(axis=0) for label in order])
    tensors = {
        "fc.weight": torch.from_numpy(means_CD).float(),
        "fc.bias": torch.from_numpy(-(means_CD**2).sum(axis=1) / 2).float(),
    }
    names = json.dumps([made.class_names[label] for label in order])
    save_file(tensors, path, metadata={"class_names": names})
    return path


def test_the_benchmarks_files_should_settle_classes_pictures_and_splits(tmp_path: Path) -> None:
    made = xlsa17_files.make()
    features = xlsa17_files.write(tmp_path, made)
    order = np.random.default_rng(1).permutation(len(made.class_names)).tolist()
    head = planted_head(tmp_path / "h.safetensors", made, order)

    evaluation = evaluate_head(EvaluationRequest(head, features))

    assert evaluation.scores.H > 0.9
    assert (evaluation.seen.classes, evaluation.unseen.classes) == (
        xlsa17_files.SEEN,
        xlsa17_files.UNSEEN,
    )
    assert evaluation.seen.pictures == xlsa17_files.SEEN * xlsa17_files.TEST
    every = xlsa17_files.TRAIN + xlsa17_files.TEST
    assert evaluation.unseen.pictures == xlsa17_files.UNSEEN * every


def test_rows_that_nobody_names_should_stand_as_the_benchmark_counts(tmp_path: Path) -> None:
    made = xlsa17_files.make()
    features = xlsa17_files.write(tmp_path, made)
    head = planted_head(tmp_path / "named", made, list(range(len(made.class_names))))
    with_names = evaluate_head(EvaluationRequest(head, features)).scores

    save_file(load_file(head), tmp_path / "bare")

    assert evaluate_head(EvaluationRequest(tmp_path / "bare", features)).scores == with_names


def test_options_that_the_benchmark_settles_should_be_refused(tmp_path: Path) -> None:
    features = xlsa17_files.write(tmp_path, xlsa17_files.make())
    with pytest.raises(InjectionError, match=r"--seen-count 2 does not go with .mat"):
        evaluate_head(EvaluationRequest(tmp_path / "h", features, seen_count=2))


def test_splits_elsewhere_should_be_given(tmp_path: Path) -> None:
    made = xlsa17_files.make()
    features = xlsa17_files.write(tmp_path, made)
    elsewhere = (tmp_path / "att_splits.mat").rename(tmp_path / "mine.mat")
    head = planted_head(tmp_path / "h", made, list(range(len(made.class_names))))

    with pytest.raises(FileNotFoundError, match=r"att_splits\.mat"):
        evaluate_head(EvaluationRequest(head, features))
    assert evaluate_head(EvaluationRequest(head, features, splits=elsewhere)).scores.T1 > 0.9
