"""dfzsl: what each stage leaves, what of it becomes a row, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from headgraft.models.errors import InjectionError
from headgraft.models.methods.dfzsl.method import synthesize
from headgraft.models.methods.dfzsl.settings import CONSTANTS, DfzslConstants, DfzslSettings
from headgraft.models.methods.dfzsl.stages import StageResults, run
from headgraft.models.progress import Progress, ignore
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task
from tests.models.towers import make_tower

USUAL = CONSTANTS["default"]
FAST = replace(
    USUAL,
    virtual=replace(USUAL.virtual, steps=60, draws=5),
    gan=replace(USUAL.gan, hidden_size=32, code_size=8, steps=2),
)


@pytest.fixture(autouse=True)
def constants(monkeypatch: pytest.MonkeyPatch) -> Callable[[DfzslConstants], None]:
    """Make the stages quick; return what puts further constants in their place."""

    def put(changed: DfzslConstants) -> None:
        monkeypatch.setitem(CONSTANTS, "default", changed)

    put(FAST)
    return put


def joint_task(classes: int = 20, unseen: int = 5, size: int = 24) -> Task:
    """Make a head whose rows are the class embeddings, blurred: one model made both."""
    head = make_head(classes, size, bias=False, metric="cosine")
    task = make_task(head, unseen, size)
    text_SA = normalize(head.weight) + 0.5 * normalize(task.class_embeddings_SA)
    return replace(task, class_embeddings_SA=text_SA)


def stages(task: Task, **settings: object) -> StageResults:
    return run(task, DfzslSettings.model_validate(settings), device="cpu", progress=ignore)


def rows(task: Task, **settings: object) -> Tensor:
    parsed = DfzslSettings.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=Progress()).rows


def test_every_stage_should_leave_what_the_next_one_needs() -> None:
    left = stages(joint_task())

    assert left.virtual.counts(12).min() > 0
    assert left.tuned.text_CD.shape == (25, 24)
    assert left.unseen.features_NF.shape == (50, 24)
    assert left.unseen.labels_N.tolist() == [20 + index // 10 for index in range(50)]
    assert left.rows_CD.shape == (25, 24)


def test_new_rows_should_stay_near_their_text_and_be_as_long_as_old_ones() -> None:
    task = joint_task()

    rows_UK = rows(task)

    near_U = cosine_similarity(rows_UK, task.unseen_class_embeddings_UA)
    torch.testing.assert_close(
        rows_UK.norm(dim=1), task.head.weight.norm(dim=1).mean().expand(5), rtol=1e-5, atol=0
    )
    assert near_U.min() > 0.8


def test_with_a_text_tower_the_prompt_should_be_tuned(
    constants: Callable[[DfzslConstants], None],
) -> None:
    tower = make_tower(size=6)
    task = replace(joint_task(classes=6, size=6), text_tower=tower)
    names = task.head.class_names + task.unseen_class_names
    texts: list[Tensor] = []

    for steps in (0, 2):
        constants(replace(FAST, tuning=replace(FAST.tuning, steps=steps)))
        texts.append(stages(task).tuned.text_CD)

    torch.testing.assert_close(texts[0], tower.encode(tower.prompts(names), tower.context()))
    assert not torch.equal(texts[1], texts[0])


@pytest.mark.parametrize(
    ("setting", "stage"),
    [
        ({"filter_by_head": False}, lambda left: left.virtual.features_NF),
        ({"generator": "tfvaegan"}, lambda left: left.unseen.features_NF),
        ({"adjust": False}, lambda left: left.rows_CD),
        ({"r": 1000}, lambda left: left.rows_CD),
    ],
)
def test_what_can_be_left_out_should_change_its_stage(
    constants: Callable[[DfzslConstants], None],
    setting: dict[str, object],
    stage: Callable[[StageResults], Tensor],
) -> None:
    # So wide draws that the head takes some for another class.
    constants(replace(FAST, virtual=replace(FAST.virtual, kappa=20.0)))

    with_it = stage(stages(joint_task()))

    without = stage(stages(joint_task(), **setting))

    assert with_it.shape != without.shape or not torch.equal(with_it, without)


def test_embeddings_should_be_moved_only_where_they_are_tuned(
    constants: Callable[[DfzslConstants], None],
) -> None:
    task = joint_task()

    left_CD = stages(task).tuned.text_CD
    constants(replace(FAST, embedding_tuning=replace(FAST.embedding_tuning, steps=24)))
    moved_CD = stages(task).tuned.text_CD

    torch.testing.assert_close(left_CD[:20], normalize(task.class_embeddings_SA))
    assert not torch.allclose(moved_CD[:20], left_CD[:20], atol=1e-3)


def test_the_papers_preset_should_set_what_is_absent_and_nothing_else() -> None:
    paper = DfzslSettings.model_validate({"preset": "paper", "mode": "white_box"})
    constants = paper.constants

    assert paper.generator == "tfvaegan"
    assert (
        DfzslSettings.model_validate({"preset": "paper", "generator": "text"}).generator == "text"
    )
    assert (constants.virtual.mode, constants.virtual.steps) == ("white_box", 1000)
    assert [one.steps_of(1001) for one in (constants.tuning, constants.embedding_tuning)] == 2 * [
        251
    ]
    assert (constants.gan.epochs, constants.gan.steps) == (120, None)
    assert (constants.gan.generator_rate, constants.gan.features_per_class) == (3e-5, 1800)
    assert (constants.rows.epochs, constants.rows.batch_size) == (100, 1800)


def test_embeddings_of_another_size_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="they have 5 numbers, the head's rows have 24"):
        rows(make_task(make_head(20, 24), 5, 5))


def test_replacing_seen_rows_should_give_every_class_its_trained_row() -> None:
    task = joint_task()
    kept = rows(task)

    made = synthesize(
        task,
        DfzslSettings(replace_seen=True),
        device="cpu",
        progress=Progress(),
    )

    assert made.class_names == task.head.class_names + task.unseen_class_names
    assert torch.equal(made.rows[20:], kept)
    assert cosine_similarity(made.rows[:20], task.class_embeddings_SA).min() > 0.8


def test_the_image_residual_should_become_a_bias_where_all_rows_are_replaced(
    constants: Callable[[DfzslConstants], None],
) -> None:
    task = joint_task()
    head = replace(task.head, bias=torch.full((20,), 3.0), metric="linear")

    def biases(*, residual: bool) -> Tensor:
        tuning = replace(FAST.embedding_tuning, steps=5, residual=residual)
        constants(replace(FAST, embedding_tuning=tuning))
        made = synthesize(
            replace(task, head=head),
            DfzslSettings(replace_seen=True),
            device="cpu",
            progress=Progress(),
        )
        assert made.bias is not None
        return made.bias

    torch.testing.assert_close(biases(residual=False), torch.full((25,), 3.0))
    assert biases(residual=True).std() > 0
