"""prepare: class embeddings made comparable."""

import torch

from headgraft.models.embeddings.normalise import prepare


def test_vectors_should_come_out_unit() -> None:
    for centre in (True, False):
        seen_SA, unseen_UA = prepare(torch.randn(6, 4), torch.randn(2, 4), centre=centre)

        torch.testing.assert_close(seen_SA.norm(dim=1), torch.ones(6))
        torch.testing.assert_close(unseen_UA.norm(dim=1), torch.ones(2))


def test_unseen_classes_should_not_move_the_centre() -> None:
    seen_SA, unseen_UA = torch.randn(6, 4), torch.randn(2, 4)

    both, _ = prepare(seen_SA, unseen_UA, centre=True)
    one, _ = prepare(seen_SA, unseen_UA[:1], centre=True)

    assert torch.equal(both, one)


def test_vectors_that_are_all_alike_should_become_zero_when_centred() -> None:
    seen_SA, unseen_UA = prepare(torch.full((5, 3), 0.1), torch.full((2, 3), 0.1), centre=True)

    assert not seen_SA.any()
    assert not unseen_UA.any()


def test_lengths_should_be_left_alone_when_told_so() -> None:
    seen_SA, unseen_UA = torch.randn(6, 4), torch.randn(2, 4)

    as_they_are, _ = prepare(seen_SA, unseen_UA, centre=False, unit=False)
    centred, others = prepare(seen_SA, unseen_UA, centre=True, unit=False)

    assert torch.equal(as_they_are, seen_SA)
    torch.testing.assert_close(centred, seen_SA - seen_SA.mean(dim=0))
    torch.testing.assert_close(others, unseen_UA - seen_SA.mean(dim=0))
