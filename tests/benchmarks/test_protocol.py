"""The whole protocol on a small made data set whose answer is planted."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from headgraft.models import catalogue
from headgraft.models.features.labelled import NamedFeatures
from headgraft.models.heads.extend import inject
from headgraft.models.progress import Progress
from headgraft.workers.evaluate.score import EvaluationRequest, evaluate_head
from tests import xlsa17_files
from tests.benchmarks import base_classifier, protocol
from tests.benchmarks.base_classifier import Recipe
from tests.benchmarks.xlsa17_sets import Benchmark, make_task, read_benchmark, score

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    xlsa17_files.write(folder / "CUB", xlsa17_files.make())
    return folder


@pytest.fixture(scope="module")
def benchmark(root: Path) -> Benchmark:
    return read_benchmark(root / "CUB")


def test_the_task_should_hold_each_class_with_its_own_attributes(benchmark: Benchmark) -> None:
    made = xlsa17_files.make()
    head = base_classifier.train(
        benchmark.part(benchmark.splits.trainval), benchmark.seen_names, Recipe(16, 1)
    )

    task = make_task(benchmark, head)

    planted_CA = torch.from_numpy(made.arrays["att_splits"]["att"].T).float()
    assert list(task.unseen_class_names) == made.unseen_names
    assert set(head.class_names) == set(made.class_names) - set(made.unseen_names)
    assert torch.allclose(task.unseen_class_embeddings_UA, planted_CA[made.unseen])
    row = made.class_names.index(head.class_names[-1])
    assert torch.allclose(task.class_embeddings_SA[-1], planted_CA[row])


def test_no_picture_of_a_test_split_should_train_the_seen_head(benchmark: Benchmark) -> None:
    train = benchmark.part(benchmark.splits.trainval)
    test = benchmark.part(benchmark.splits.test_seen, benchmark.splits.test_unseen)

    assert len(train.labels_N) + len(test.labels_N) == len(benchmark.pictures.labels_N)
    both = torch.cat([train.features_NF, test.features_NF]).tolist()
    assert len({tuple(row) for row in both}) == len(both)


def test_the_seen_head_should_start_and_step_as_the_paper_says(benchmark: Benchmark) -> None:
    train = benchmark.part(benchmark.splits.trainval)
    names = benchmark.seen_names
    start = base_classifier.train(train, names, Recipe(16, 0, seed=3))
    trained = base_classifier.train(train, names, Recipe(16, 1, seed=3))

    assert float(start.weight.std()) == pytest.approx(0.02, rel=0.1)
    assert start.bias is not None
    assert not start.bias.any()
    # Adam moves no weight by much more than its step size a step.
    steps = -(-len(train.labels_N) // 16)
    assert 1e-4 < float((trained.weight - start.weight).abs().max()) < 2 * steps * 1e-4
    assert [base_classifier.batch_size(count) for count in (50, 200, 717)] == [20, 16, 16]


def test_the_held_out_accuracy_should_not_know_the_pictures_it_is_measured_on(
    benchmark: Benchmark,
) -> None:
    train = benchmark.part(benchmark.splits.trainval)
    shuffled_N = train.labels_N[torch.randperm(len(train.labels_N))]
    meaningless = NamedFeatures(train.features_NF, shuffled_N, train.class_names)

    names = benchmark.seen_names
    assert base_classifier.held_out_accuracy(train, names, Recipe(16, 40)) > 0.8
    assert base_classifier.held_out_accuracy(meaningless, names, Recipe(16, 40)) < 0.3


@pytest.mark.parametrize("method", catalogue.names())
def test_every_method_should_have_its_papers_settings(method: str) -> None:
    catalogue.method(method).parse(protocol.paper_settings(method))


def test_planted_attributes_should_be_found_far_above_chance(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADGRAFT_XLSA17", str(root))

    options = ["--sets", "CUB,SUN", "--epochs", "40", "--tell", "accuracy"]
    protocol.main(["--methods", "auto,ridge,clip_text,conse", *options])

    printed = capsys.readouterr().out
    pictures = xlsa17_files.UNSEEN * (xlsa17_files.TRAIN + xlsa17_files.TEST)
    assert re.search(rf"CUB: 30 seen classes, trained on 240 .* 120; 8 .* on {pictures}\n", printed)
    own = re.search(r"it recognises ([\d.]+) % of the last tenth\n", printed)
    assert own
    assert float(own[1]) > 80
    assert re.search(r"ridge published +- +- +- +- +-\n", printed)
    for label in ("auto calibrated", "ridge raw", "ridge calibrated", "conse raw"):
        figures = re.search(rf"{label} +([\d.]+) +[\d.]+ +[\d.]+ +([\d.]+)", printed)
        assert figures, printed
        assert float(figures[1]) > 80  # chance is 12.5
        assert "raw" in label or float(figures[2]) > 80
    assert "clip_text" in printed
    assert "left out: it needs joint_embeddings" in printed
    assert re.search(r"SUN: skipped, there is no .*SUN\n", printed)


def test_pictures_of_seen_classes_should_help_where_rows_look_like_noise(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADGRAFT_XLSA17", str(root))
    H = {}
    for tell in ("nothing", "pictures"):
        options = ["--sets", "CUB", "--epochs", "10", "--tell", tell]
        protocol.main(["--methods", "ridge", *options])
        line = re.search(r"ridge calibrated( +[\d.]+){4}", capsys.readouterr().out)
        assert line
        H[tell] = float(line[1])

    assert H["pictures"] > 2 * H["nothing"]


def test_the_protocol_should_agree_with_the_command(benchmark: Benchmark, root: Path) -> None:
    head = base_classifier.train(
        benchmark.part(benchmark.splits.trainval), benchmark.seen_names, Recipe(16, 20)
    )
    task = make_task(benchmark, head)
    parsed = catalogue.row_method("ridge").parse({})
    unseen = parsed.synthesize(task, device="cpu", progress=Progress())
    whole = inject(head, unseen)
    assert whole.bias is not None
    save_file({"fc.weight": whole.weight, "fc.bias": whole.bias}, root / "h.safetensors")
    (root / "names").write_text("\n".join(whole.class_names))

    found = evaluate_head(
        EvaluationRequest(root / "h.safetensors", root / "CUB" / "res101.mat", names=root / "names")
    )

    assert found.scores == score(benchmark, whole)


def test_published_figures_should_stand_beside_the_methods_own() -> None:
    H = {name: protocol.PUBLISHED["icis", name][3] for name in protocol.SETS}
    assert H == {"CUB": 56.5, "AWA2": 51.6, "SUN": 32.7}
    for T1, u, s, H_known in protocol.PUBLISHED.values():
        assert u <= T1
        assert 2 * u * s / (u + s) == pytest.approx(H_known, abs=0.1)
    line = str(protocol.Line("icis published", protocol.PUBLISHED["icis", "CUB"]))
    assert line.split() == ["icis", "published", "60.6", "45.8", "73.7", "56.5", "-"]


def test_without_data_the_command_should_say_that_it_skips(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HEADGRAFT_XLSA17", raising=False)

    protocol.main([])

    assert capsys.readouterr().out == "skipped: HEADGRAFT_XLSA17 is not set\n"
