"""What a training is expected to take."""

from headgraft.models.method import training_seconds


def test_more_work_should_take_longer_and_a_gpu_less_long() -> None:
    assert 0 < training_seconds(1e9, 1e6, "cpu") < training_seconds(2e9, 1e6, "cpu")
    assert training_seconds(1e9, 1e6, "cpu") < training_seconds(1e9, 2e6, "cpu")
    assert training_seconds(1e9, 1e6, "cuda:0") < training_seconds(1e9, 1e6, "cpu")
