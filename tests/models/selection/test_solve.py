"""What solving a task promises, whole, on heads with a known secret."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.nn.functional import normalize

from headgraft.models import catalogue
from headgraft.models.errors import InjectionError
from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head, Metric
from headgraft.models.methods import ridge
from headgraft.models.methods.dfzsl.settings import CONSTANTS
from headgraft.models.progress import Progress, Stopped
from headgraft.models.selection.solution import Solution
from headgraft.models.selection.solve import Preferences, solve
from headgraft.models.task import Task
from tests.models.builders import candidates_of

SMALL_ICIS = {"epochs": 3}


def secret_task(
    classes: int = 120,
    unseen: int = 12,
    *,
    told: float = 1.0,
    bias: bool = False,
    metric: Metric = "linear",
    same_size: bool = False,
) -> Task:
    """Make rows that follow from hidden causes, of which the embeddings tell a share."""
    generator = torch.Generator().manual_seed(3)
    causes = torch.randn(classes, 16, generator=generator)
    own = torch.randn(classes, 40, generator=generator)
    rows = normalize(causes @ torch.randn(16, 40, generator=generator) / 4 + own)
    noise = torch.randn(classes, 16, generator=generator)
    embeddings = told * causes + (1 - told) * noise
    if same_size:
        embeddings = rows + 0.1 * torch.randn(classes, 40, generator=generator)
    seen = classes - unseen
    head = Head(
        rows[:seen],
        torch.zeros(seen) if bias else None,
        tuple(f"old {index}" for index in range(seen)),
        metric,
    )
    names = tuple(f"new {index}" for index in range(unseen))
    return Task(head, embeddings[:seen], embeddings[seen:], names)


def run(
    task: Task,
    method: str = "auto",
    preferences: Preferences | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    should_stop: threading.Event | None = None,
) -> Solution:
    usual = SMALL_ICIS if method == "icis" else {}
    candidates = candidates_of(task, method, usual if settings is None else settings)
    progress = Progress(should_stop=should_stop)
    return solve(task, candidates, preferences or Preferences(), device="cpu", progress=progress)


@cache
def usual(same_size: bool = False) -> Solution:
    """Solve the usual task by default, once for all tests that only look at the solution."""
    return run(secret_task(same_size=same_size))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("metric", ["linear", "cosine"])
def test_the_rows_should_fit_the_head(bias: bool, metric: Metric) -> None:
    task = secret_task(bias=bias, metric=metric)

    solution = run(task)

    extended = inject(task.head, solution.unseen)
    assert extended.class_count == 120
    assert torch.equal(extended.weight[:108], task.head.weight)
    assert solution.unseen.class_names == task.unseen_class_names


def test_the_estimate_should_lie_within_its_interval() -> None:
    found = usual().estimate

    for figure in (found.T1, found.u, found.s, found.H):
        assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_embeddings_that_tell_more_should_be_expected_to_do_better() -> None:
    rich, poor = usual(), run(secret_task(told=0.4))

    assert rich.estimate.T1.value > poor.estimate.T1.value + 0.1
    assert rich.estimate.H.value > poor.estimate.H.value + 0.1


def test_embeddings_that_tell_nothing_should_be_called_so() -> None:
    found = run(secret_task(classes=400, unseen=40, told=0.0)).estimate

    assert found.T1.value < 0.08
    assert any("tell next to nothing" in reason for reason in found.reasons)


def test_who_prefers_new_classes_should_get_more_of_them() -> None:
    old, new = (
        run(secret_task(), preferences=Preferences(prefer="old")),
        run(secret_task(), preferences=Preferences(prefer="new")),
    )

    assert new.estimate.u.value > old.estimate.u.value
    assert new.estimate.s.value < old.estimate.s.value


def test_a_limit_on_the_loss_of_seen_accuracy_should_be_kept() -> None:
    solution = run(secret_task(), preferences=Preferences(seen_loss_points=2.0))

    free = run(secret_task(), preferences=Preferences(prefer="new"))
    assert solution.estimate.s.value >= 0.85 - 0.02 - 0.02
    assert solution.estimate.s.value > free.estimate.s.value


def test_a_weaker_head_should_be_expected_to_recognise_less() -> None:
    known, assumed = (
        run(secret_task(), preferences=Preferences(seen_accuracy=0.5)),
        usual(),
    )

    assert known.estimate.s.value < assumed.estimate.s.value - 0.1
    assert any("assumed" in reason for reason in assumed.estimate.reasons)
    assert not any("assumed" in reason for reason in known.estimate.reasons)


def test_auto_should_skip_what_the_budget_does_not_allow_and_say_so() -> None:
    solution = run(secret_task(), preferences=Preferences(budget_seconds=0.05))

    skipped = {line.method: line.skipped for line in solution.tried if line.skipped}
    assert set(skipped) == {"icis"}
    assert "it would take about" in str(skipped["icis"])


def test_auto_should_try_text_rows_only_where_the_sizes_fit() -> None:
    fits, not_fits = usual(same_size=True), usual()

    assert "clip_text" in {line.method for line in fits.tried}
    assert "clip_text" not in {line.method for line in not_fits.tried}


def test_auto_should_deliver_the_best_of_what_it_tried() -> None:
    solution = usual(same_size=True)

    assert solution.method in {line.method for line in solution.tried}
    best = max(line.estimate.H.value for line in solution.tried if line.estimate)
    assert solution.estimate.H.value >= best - 0.02


def test_settings_that_are_given_should_stay() -> None:
    solution = run(secret_task(), "ridge", settings={"gamma": 7.0, "scale": 1.7})

    assert solution.settings["gamma"] == 7.0
    assert solution.calibration is not None
    assert solution.calibration.scale == 1.7


def test_an_iterative_method_should_be_calibrated_from_one_fit() -> None:
    solution = run(secret_task(), "icis")

    assert [line.fits for line in solution.tried] == [1]
    mean_K = solution.unseen.rows.new_tensor(secret_task().head.rows.mean(dim=0).tolist())
    distances = (solution.unseen.rows - mean_K).norm(dim=1)
    torch.testing.assert_close(distances, distances.mean().expand(12))


def test_without_calibration_the_methods_rows_should_stay() -> None:
    solution = run(secret_task(), "ridge", Preferences(enabled=False))

    assert solution.calibration is None
    assert torch.equal(solution.unseen.weight, solution.raw.weight)


@pytest.mark.parametrize("seen", [1, 2, 3])
def test_a_head_of_few_classes_should_get_rows_and_a_reason(seen: int) -> None:
    task = secret_task(classes=seen + 2, unseen=2)

    solution = run(task)

    assert solution.estimate.H.low == 0
    assert solution.estimate.H.high == 1
    assert f"the head has {seen} classes" in solution.estimate.reasons[0]
    assert bool(torch.isfinite(solution.unseen.rows).all())


def test_one_new_class_should_be_handled_with_a_reason() -> None:
    solution = run(secret_task(unseen=1))

    assert solution.estimate.T1.value == 1
    assert solution.estimate.u.value < 1
    assert any("one new class" in reason for reason in solution.estimate.reasons)
    assert len(solution.confidences) == 1


def test_more_new_classes_than_old_ones_should_be_handled_with_a_reason() -> None:
    solution = run(secret_task(classes=60, unseen=40))

    assert any("can be hidden at a time" in reason for reason in solution.estimate.reasons)


def test_the_curve_should_fall_for_old_classes_and_hold_the_chosen_point() -> None:
    solution = usual()

    assert solution.calibration is not None
    assert [point.s for point in solution.curve] == sorted(
        (point.s for point in solution.curve), reverse=True
    )
    assert solution.calibration.scale in [point.scale for point in solution.curve]


def test_the_same_task_should_be_solved_alike_twice() -> None:
    first, second = usual(), run(secret_task())

    assert torch.equal(first.unseen.weight, second.unseen.weight)
    assert first.estimate == second.estimate


def test_an_order_to_stop_should_be_obeyed() -> None:
    stop = threading.Event()
    stop.set()

    with pytest.raises(Stopped):
        run(secret_task(), should_stop=stop)


def test_an_unknown_method_or_setting_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="'magic' is not one of"):
        run(secret_task(), "magic")
    with pytest.raises(InjectionError, match="no setting 'widht'"):
        run(secret_task(), "ridge", settings={"widht": 1})


def test_a_method_that_makes_no_rows_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="'conse' makes no rows"):
        run(secret_task(), "conse")


def test_only_methods_that_may_be_tried_should_be() -> None:
    tried = {line.method for line in usual(same_size=True).tried}

    assert tried == {method.name for method in catalogue.candidates()}


def test_a_setting_of_no_candidate_should_be_refused_with_auto() -> None:
    with pytest.raises(InjectionError, match="'widht'"):
        run(secret_task(), "auto", settings={"widht": 1})


def test_the_defaults_of_a_method_should_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    start = ridge.RidgeSettings()

    class Moved(ridge.RidgeSettings):
        gamma: float = 3 * start.gamma
        ridge: float = 3 * start.ridge
        scale: float = 3 * start.scale

    before = usual()
    monkeypatch.setattr(ridge, "METHOD", replace(ridge.METHOD, settings=Moved))

    after = run(secret_task())

    torch.testing.assert_close(after.unseen.rows, before.unseen.rows, rtol=1e-5, atol=1e-5)


FAST_DFZSL = {"virtual_steps": 60, "virtual_draws": 5}


@pytest.fixture
def fast_dfzsl(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = CONSTANTS["default"]
    fast = replace(usual, virtual=replace(usual.virtual, steps=60, draws=5))
    monkeypatch.setitem(CONSTANTS, "default", fast)


@pytest.mark.usefixtures("fast_dfzsl")
@pytest.mark.parametrize("metric", ["linear", "cosine"])
def test_rows_made_for_all_classes_should_be_calibrated_against_each_other(metric: Metric) -> None:
    task = secret_task(metric=metric, same_size=True)

    def solved(**settings: bool) -> Solution:
        return run(task, "dfzsl", settings=settings)

    kept, replaced = solved(), solved(replace_seen=True)

    assert kept.seen is task.head
    assert replaced.seen.class_names == task.head.class_names
    assert not torch.equal(replaced.seen.weight, task.head.weight)
    assert replaced.calibration is not None
    assert not replaced.calibration.equal_distance
    offsets_UK = replaced.unseen.rows - replaced.seen.rows.mean(dim=0)
    assert float(offsets_UK.norm(dim=1).std()) > 1e-4
    assert 0 < replaced.estimate.H.value <= 1
    assert inject(replaced.seen, replaced.unseen).class_count == 120


@pytest.mark.usefixtures("fast_dfzsl")
def test_replaced_rows_should_stay_replaced_where_nothing_can_be_hidden() -> None:
    task = secret_task(classes=6, unseen=2, same_size=True)
    settings = {"replace_seen": True, "filter_by_head": False}

    solution = run(task, "dfzsl", settings=settings)

    assert not torch.equal(solution.seen.weight, task.head.weight)
    assert solution.unseen.class_count == 2
