"""How a method's settings are searched."""

import dataclasses
import itertools
import time
from dataclasses import replace

import pytest
import torch

from headgraft.models.methods import ridge
from headgraft.models.progress import Progress
from headgraft.models.selection import calibrate, search
from headgraft.models.selection.calibrate import build_context
from headgraft.models.selection.estimate import Simulation
from headgraft.models.selection.search import NO_DIFFERENCE, Budget, Search
from headgraft.models.selection.solution import Solution
from headgraft.models.selection.solve import NO_NUMBER, Preferences, solve
from tests.models.builders import candidates_of, make_head, make_task


def make_search() -> Search:
    task = make_task(make_head(classes=60), size=12)
    return Search(task, build_context(task.head, None), "balanced", None, "cpu", Progress())


def test_the_chosen_candidate_should_be_as_good_as_any_but_for_no_difference() -> None:
    trials = make_search().tune(ridge.METHOD.parse({}), Budget(60), vary=True)

    # Once for each of the two settings that are tuned.
    assert trials[-1].value >= max(trial.value for trial in trials) - 2 * NO_DIFFERENCE


def test_every_value_should_be_tried_once() -> None:
    trials = make_search().tune(ridge.METHOD.parse({}), Budget(60), vary=True)

    tried = [
        (trial.parsed.explicit["gamma"], trial.parsed.explicit.get("ridge")) for trial in trials
    ]
    assert len(tried) == len(set(tried))
    assert {gamma for gamma, _ in tried} == set(ridge.METHOD.tunable["gamma"])


def test_a_setting_that_is_given_should_not_be_tuned() -> None:
    trials = make_search().tune(ridge.METHOD.parse({"gamma": 3.0}), Budget(60), vary=True)

    assert {trial.parsed.explicit["gamma"] for trial in trials} == {3.0}


def test_without_time_one_candidate_should_be_tried_all_the_same() -> None:
    assert len(make_search().tune(ridge.METHOD.parse({}), Budget(0), vary=True)) == 1


def test_without_time_a_default_that_is_no_value_to_try_should_stay() -> None:
    method = replace(ridge.METHOD, tunable={"gamma": (3.0, 6.0), "ridge": (0.3, 0.9)})

    trials = make_search().tune(method.parse({}), Budget(0), vary=True)

    assert [trial.parsed.explicit for trial in trials] == [{"gamma": 3.0}]


def test_without_tuning_the_settings_should_stay_as_they_come() -> None:
    trials = make_search().tune(ridge.METHOD.parse({}), Budget(60), vary=False)

    assert [trial.parsed.explicit for trial in trials] == [{}]


def test_a_slow_clock_should_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(make_head(classes=60), size=12)

    def solved() -> Solution:
        candidates = candidates_of(task, "ridge", {})
        return solve(task, candidates, Preferences(), device="cpu", progress=Progress())

    quick = solved()
    hours = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: 3600.0 * next(hours))
    slow = solved()

    assert next(hours) > 1, "the clock was not asked"
    assert slow.unseen.rows.numpy().tobytes() == quick.unseen.rows.numpy().tobytes()
    assert slow.estimate == quick.estimate
    assert [line.settings for line in slow.tried] == [line.settings for line in quick.tried]


def test_a_budget_should_allow_more_the_smaller_the_head() -> None:
    search = make_search()
    larger = replace(search, task=make_task(make_head(classes=600), size=12))
    parsed = ridge.METHOD.parse({})

    assert 0 < search.expected_seconds(parsed) < larger.expected_seconds(parsed) / 5


def test_a_trial_without_a_number_should_never_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = iter([True, False, False, True, False, False, False])

    def simulate(*given: object) -> Simulation:
        made: Simulation = simulation(*given)  # type: ignore[arg-type]
        lost_GT = torch.full_like(made.trade_off.u_GT, torch.nan)
        return Simulation(dataclasses.replace(made.trade_off, u_GT=lost_GT)) if next(gone) else made

    simulation = calibrate.simulate
    monkeypatch.setattr(search, "simulate", simulate)

    trials = make_search().tune(ridge.METHOD.parse({}), Budget(60), vary=True)

    assert [trial.has_value for trial in trials].count(False) == 2
    assert trials[-1].has_value


def test_a_play_without_a_number_should_be_told_and_leave_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def simulate(*given: object) -> Simulation:
        trade_off = simulation(*given).trade_off  # type: ignore[arg-type]
        lost_GT = torch.full_like(trade_off.u_GT, torch.nan)
        return Simulation(dataclasses.replace(trade_off, u_GT=lost_GT))

    simulation = calibrate.simulate
    monkeypatch.setattr(search, "simulate", simulate)

    task = make_task(make_head(classes=60))
    ridge = candidates_of(task, "ridge", {})
    solution = solve(task, ridge, Preferences(), device="cpu", progress=Progress())

    assert torch.equal(solution.unseen.rows, solution.raw.rows)
    assert (solution.estimate.H.low, solution.estimate.H.high) == (0, 1)
    assert "gave no finite accuracy" in solution.estimate.reasons[0]
    assert {line.skipped for line in solution.tried} == {NO_NUMBER}
