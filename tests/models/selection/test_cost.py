"""What a fit is expected to cost."""

from headgraft.models.selection.cost import expected_seconds
from tests.models.builders import make_task


def test_a_closed_form_should_cost_nothing_to_speak_of() -> None:
    assert expected_seconds(make_task(), "ridge", {}, "cpu") == 0


def test_training_should_cost_more_with_more_epochs_and_less_on_a_gpu() -> None:
    task = make_task()

    few = expected_seconds(task, "icis", {"epochs": 10}, "cpu")
    many = expected_seconds(task, "icis", {"epochs": 100}, "cpu")

    assert 0 < few < many
    assert expected_seconds(task, "icis", {"epochs": 100}, "cuda:0") < many
