"""The accuracy every release must keep, on real pictures; skipped without the data."""

from pathlib import Path
from statistics import mean

import pytest
from torch import Tensor

from headgraft.models.methods import ridge
from tests.benchmarks.data import read_embeddings
from tests.benchmarks.lite0 import move_starts, run_folds
from tests.benchmarks.texts import encode_texts

pytestmark = pytest.mark.soak


def accuracy(folder: Path, embeddings_CA: Tensor) -> tuple[float, float]:
    """Return T1 and H of ridge's defaults in per cent, over ten folds."""
    scores = [run.raw for run in run_folds(folder, embeddings_CA, "ridge", {}, 10, 1)]
    return 100 * mean(one.T1 for one in scores), 100 * mean(one.H for one in scores)


def test_picture_text_embeddings_should_reach_t1_78_and_h_70(folder: Path) -> None:
    T1, H = accuracy(folder, read_embeddings(folder, "clip_vit_b32_text"))

    assert T1 >= 78
    assert H >= 70


def test_word_vectors_should_reach_t1_50(folder: Path) -> None:
    assert accuracy(folder, read_embeddings(folder, "conceptnet+wiki2vec"))[0] >= 50


@pytest.mark.parametrize(("texts", "bar"), [("names", 28), ("gloss", 45)])
def test_the_packaged_encoder_should_reach_its_bar(folder: Path, texts: str, bar: float) -> None:
    assert accuracy(folder, encode_texts(folder, "minilm", texts))[0] >= bar


def test_auto_should_reach_t1_79_and_h_72_with_picture_text_embeddings(folder: Path) -> None:
    runs = run_folds(folder, read_embeddings(folder, "clip_vit_b32_text"), "auto", {}, 10, 1)

    assert 100 * mean(run.raw.T1 for run in runs) >= 79
    assert 100 * mean(run.raw.H for run in runs) >= 72


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_auto_should_hardly_depend_on_where_its_search_starts(
    folder: Path, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings_CA = read_embeddings(folder, "clip_vit_b32_text")
    usual = run_folds(folder, embeddings_CA, "auto", {}, 4, 1)
    monkeypatch.setattr(ridge, "TUNABLE", dict(ridge.METHOD.tunable))

    move_starts(factor)

    moved = run_folds(folder, embeddings_CA, "auto", {}, 4, 1)
    assert abs(mean(one.raw.H for one in moved) - mean(one.raw.H for one in usual)) <= 0.01
