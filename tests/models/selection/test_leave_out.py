"""What leaving classes out promises, for methods with a closed form and without."""

from dataclasses import replace

import torch

from headgraft.models.methods import ridge
from headgraft.models.methods.icis import method as icis_method
from headgraft.models.methods.smo import method as smo_method
from headgraft.models.progress import Progress
from headgraft.models.selection.leave_out import fold_count, hide, leave_out
from tests.models.builders import make_head, make_task
from tests.models.towers import make_tower

SMALL_ICIS = {"epochs": 2}


def test_folds_should_be_as_large_as_the_classes_to_inject_if_that_leaves_enough() -> None:
    assert fold_count(900, 100) == 9
    assert fold_count(900, 1) == 10
    assert fold_count(500, 500) == 3
    assert fold_count(5, 1) == 5
    assert fold_count(20_000, 100) == 20


def test_the_closed_form_should_equal_refits() -> None:
    task = make_task(make_head(classes=30), size=4)

    held_out = leave_out(task, ridge.METHOD.parse({}), device="cpu", progress=Progress())

    # The closed form centres embeddings with all classes, so both sides must not centre.
    uncentred = leave_out(
        task,
        ridge.METHOD.parse({"centre": False}),
        device="cpu",
        progress=Progress(),
    )
    hidden_S = uncentred.fold_S == 2
    settings = ridge.RidgeSettings(centre=False, equal_distance=False, scale=1)
    refit = ridge.synthesize(hide(task, hidden_S), settings, device="cpu", progress=Progress())
    torch.testing.assert_close(uncentred.rows_SK[hidden_S], refit.rows, rtol=1e-3, atol=1e-3)
    assert held_out.fits == 1
    assert bool(held_out.known_S.all())


def test_a_method_without_a_closed_form_should_be_fitted_once_per_fold() -> None:
    held_out = leave_out(
        make_task(),
        icis_method.METHOD.parse(SMALL_ICIS),
        device="cpu",
        progress=Progress(),
        fits=2,
    )

    assert held_out.fits == 2
    assert held_out.known_S.tolist() == (held_out.fold_S < 2).tolist()
    assert bool(torch.isfinite(held_out.rows_SK).all())


def test_a_hidden_class_should_be_unseen_and_gone_from_the_head() -> None:
    task = make_task()
    hidden_S = torch.arange(12) == 5

    hidden = hide(task, hidden_S)

    assert hidden.unseen_class_names == ("class 5",)
    assert "class 5" not in hidden.head.class_names
    assert torch.equal(hidden.unseen_class_embeddings_UA, task.class_embeddings_SA[5:6])


def test_hiding_classes_should_leave_the_text_tower_to_the_task() -> None:
    task, tower = make_task(), make_tower()

    assert hide(task, torch.arange(12) < 3).text_tower is None
    assert hide(replace(task, text_tower=tower), torch.arange(12) < 3).text_tower is tower


def test_rows_of_a_fold_should_not_depend_on_its_true_rows() -> None:
    task = make_task()
    fold_S = leave_out(task, ridge.METHOD.parse({}), device="cpu", progress=Progress()).fold_S
    changed = task.head.weight.clone()
    changed[fold_S == 0] *= 100
    other = make_task(task.head.__class__(changed, task.head.bias, task.head.class_names))

    first = leave_out(task, ridge.METHOD.parse({}), device="cpu", progress=Progress())
    second = leave_out(other, ridge.METHOD.parse({}), device="cpu", progress=Progress())

    inside = fold_S == 0
    torch.testing.assert_close(first.rows_SK[inside], second.rows_SK[inside], rtol=1e-3, atol=1e-3)


def test_a_fit_that_grows_with_what_it_hides_should_hide_fewer_classes_of_a_large_head() -> None:
    task = make_task(make_head(classes=200))
    slow = replace(
        smo_method.METHOD,
        # A second for each new class.
        expected_seconds=lambda task, _settings, _device: len(task.unseen_class_names),
    )

    held_out = leave_out(task, slow.parse({}), device="cpu", progress=Progress())

    counts = held_out.fold_S[held_out.known_S].bincount().tolist()
    # Folds of 20 classes fit into 30 s, six of them into two minutes.
    assert counts == [20] * 6
    slower = replace(slow, expected_seconds=lambda *_given: 3000.0)
    hidden = leave_out(task, slower.parse({}), device="cpu", progress=Progress())
    assert int(hidden.known_S.sum()) == 10
