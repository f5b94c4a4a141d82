"""Random numbers in blocks: their distribution, and that they are the seed's."""

import torch

from headgraft.models.learners.random_blocks import BLOCK, RandomBlocks, StepBlocks


def draws(seed: int = 0) -> RandomBlocks:
    return RandomBlocks(torch.Generator().manual_seed(seed), torch.device("cpu"))


def test_normal_numbers_should_be_standard_normal() -> None:
    numbers = draws().normal(1000, 100)

    assert abs(float(numbers.mean())) < 0.02
    assert abs(float(numbers.std()) - 1) < 0.02


def test_uniform_numbers_should_fill_the_unit_interval() -> None:
    numbers = draws().uniform(10_000)

    assert numbers.shape == (10_000, 1)
    assert 0 <= float(numbers.min()) < 0.01
    assert 0.99 < float(numbers.max()) < 1


def test_indices_should_be_drawn_alike_below_the_limit() -> None:
    counts = draws().indices(30_000, 3).bincount()

    assert len(counts) == 3
    assert counts.min() > 9500


def test_no_number_should_be_handed_out_twice() -> None:
    one = draws()

    handed = torch.cat([one.normal(100, 1000).flatten() for _ in range(6)])

    assert float((handed.sort().values.diff() == 0).double().mean()) < 0.01


def test_more_numbers_than_a_block_should_come_at_once() -> None:
    assert draws().normal(2, BLOCK).shape == (2, BLOCK)


def test_the_same_seed_should_give_the_same_numbers() -> None:
    first, second, other = (
        torch.cat([one.normal(5, 4).flatten(), one.uniform(3).flatten()])
        for one in (draws(), draws(), draws(1))
    )

    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_step_should_get_its_numbers_in_order_and_new_ones_when_refilled() -> None:
    step, source = StepBlocks(12, 5, torch.device("cpu")), draws()
    step.refill(source)

    def taken() -> tuple[torch.Tensor, torch.Tensor]:
        step.begin()
        normals = torch.cat([step.normal(2, 3).flatten(), step.normal(2, 3).flatten()])
        uniforms = torch.cat([step.uniform(2).flatten(), step.indices(3, 10)])
        return normals.clone(), uniforms.clone()

    first, again = taken(), taken()
    step.refill(source)
    later = taken()

    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.isin(first[0], later[0]).any()
    assert torch.equal(first[0], draws().normal(12, 1)[:, 0])
