"""dfzsl: what each stage leaves, what of it becomes a row, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from headgraft.models.errors import InjectionError
from headgraft.models.methods.dfzsl.method import Settings, synthesize
from headgraft.models.methods.dfzsl.stages import Stages, run
from headgraft.models.progress import Progress, ignore
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task
from tests.models.towers import make_tower

FAST = {
    "virtual_steps": 60,
    "virtual_draws": 5,
    "gan_hidden_size": 32,
    "gan_code_size": 8,
    "gan_steps": 2,
}


def joint_task(classes: int = 20, unseen: int = 5, size: int = 24) -> Task:
    """Make a head whose rows are the class embeddings, blurred: one model made both."""
    head = make_head(classes, size, bias=False, metric="cosine")
    task = make_task(head, unseen, size)
    text_SA = normalize(head.weight) + 0.5 * normalize(task.class_embeddings_SA)
    return replace(task, class_embeddings_SA=text_SA)


def stages(task: Task, **settings: object) -> Stages:
    return run(task, Settings.model_validate(FAST | settings), device="cpu", progress=ignore)


@cache
def usual(kappa: float | None = None) -> Stages:
    return stages(joint_task(), kappa=kappa)


def rows(task: Task, **settings: object) -> Tensor:
    parsed = Settings.model_validate(FAST | settings)
    return synthesize(task, parsed, device="cpu", progress=Progress()).rows


def test_every_stage_should_leave_what_the_next_one_needs() -> None:
    left = usual()

    assert left.virtual.kept_S.min() > 0
    assert left.tuned.text_CD.shape == (25, 24)
    assert left.tuned.through == "embeddings"
    assert left.made_MD.shape == (50, 24)
    assert left.labels_M.tolist() == [20 + index // 10 for index in range(50)]
    assert left.rows_CD.shape == (25, 24)


def test_new_rows_should_stay_near_their_text_and_be_as_long_as_old_ones() -> None:
    task = joint_task()

    rows_UK = rows(task)

    near_U = cosine_similarity(rows_UK, task.unseen_class_embeddings_UA)
    torch.testing.assert_close(
        rows_UK.norm(dim=1), task.head.weight.norm(dim=1).mean().expand(5), rtol=1e-5, atol=0
    )
    assert near_U.min() > 0.8


def test_with_a_text_tower_the_prompt_should_be_tuned() -> None:
    task = replace(joint_task(classes=6, size=6), text_tower=make_tower(size=6))

    left = stages(task, tuning_steps=2)

    assert left.tuned.through == "prompt"
    assert left.rows_CD.shape == (11, 6)


@pytest.mark.parametrize(
    ("setting", "stage"),
    [
        ({"trusted": False, "kappa": 20.0}, lambda left: left.virtual.features_ND),
        ({"embedding_tuning_steps": 24}, lambda left: left.tuned.text_CD),
        ({"generator": "tfvaegan"}, lambda left: left.made_MD),
        ({"adjust": False}, lambda left: left.rows_CD),
        ({"r": 1000}, lambda left: left.rows_CD),
    ],
)
def test_what_can_be_left_out_should_change_its_stage(
    setting: dict[str, object], stage: Callable[[Stages], Tensor]
) -> None:
    with_it = stage(usual(20.0 if "kappa" in setting else None))

    without = stage(stages(joint_task(), **setting))

    assert with_it.shape != without.shape or not torch.equal(with_it, without)


def test_without_tuning_the_text_should_be_left_as_it_is() -> None:
    task = joint_task()

    tuned_CD = stages(task).tuned.text_CD

    torch.testing.assert_close(tuned_CD[:20], normalize(task.class_embeddings_SA))


def test_the_papers_preset_should_set_what_is_absent_and_nothing_else() -> None:
    paper = Settings.model_validate({"preset": "paper", "epochs": 3})

    assert (paper.epochs, paper.batch_size, paper.gan_epochs) == (3, 1800, 120)
    assert [paper.tuning(1001, encoder=there).steps for there in (True, False)] == [251, 251]
    assert paper.generator == "tfvaegan"
    assert paper.gan().steps is None
    assert (paper.gan().generator_rate, paper.gan().features_per_class) == (3e-5, 1800)


def test_embeddings_of_another_size_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="they have 5 numbers, the head's rows have 24"):
        rows(make_task(make_head(20, 24), 5, 5))


def test_replacing_seen_rows_should_give_every_class_its_trained_row() -> None:
    task = joint_task()
    kept = rows(task)

    made = synthesize(
        task,
        Settings.model_validate(FAST | {"replace_seen": True}),
        device="cpu",
        progress=Progress(),
    )

    assert made.class_names == task.head.class_names + task.unseen_class_names
    assert torch.equal(made.rows[20:], kept)
    assert cosine_similarity(made.rows[:20], task.class_embeddings_SA).min() > 0.8


def test_the_image_residual_should_become_a_bias_where_all_rows_are_replaced() -> None:
    task = joint_task()
    head = replace(task.head, bias=torch.full((20,), 3.0), metric="linear")
    settings = FAST | {"replace_seen": True, "embedding_tuning_steps": 5}

    def biases(*, residual: bool) -> Tensor:
        parsed = Settings.model_validate(settings | {"tuning_residual": residual})
        made = synthesize(replace(task, head=head), parsed, device="cpu", progress=Progress())
        assert made.bias is not None
        return made.bias

    torch.testing.assert_close(biases(residual=False), torch.full((25,), 3.0))
    assert biases(residual=True).std() > 0
