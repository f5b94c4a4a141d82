"""clip_text: the embeddings themselves as rows."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from headgraft.models.errors import InjectionError
from headgraft.models.methods.clip_text import METHOD, ClipTextSettings, synthesize
from headgraft.models.progress import Progress
from tests.models.builders import make_head, make_task


def test_a_row_should_point_where_its_embedding_points() -> None:
    task = make_task(size=6)

    head = synthesize(task, ClipTextSettings(), device="cpu", progress=Progress())

    alike_U = cosine_similarity(head.weight, task.unseen_class_embeddings_UA)
    torch.testing.assert_close(alike_U, torch.ones(4))


def test_rows_should_have_the_seen_rows_mean_norm_and_bias() -> None:
    task = make_task(make_head(), size=6)
    assert task.head.bias is not None

    head = synthesize(task, ClipTextSettings(), device="cpu", progress=Progress())

    norms_U = task.head.weight.norm(dim=1).mean().expand(4)
    torch.testing.assert_close(head.weight.norm(dim=1), norms_U)
    torch.testing.assert_close(head.bias, task.head.bias.mean().expand(4))


def test_embeddings_of_another_size_should_be_refused_with_both_numbers() -> None:
    with pytest.raises(InjectionError, match=r"5 numbers.*have 6") as caught:
        synthesize(make_task(size=5), ClipTextSettings(), device="cpu", progress=Progress())

    assert caught.value.pointer == "/class_embeddings"


def test_it_should_say_that_it_needs_a_joint_encoder() -> None:
    assert METHOD.needs == {"joint_embeddings"}
