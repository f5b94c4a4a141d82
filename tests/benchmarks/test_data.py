"""What the benchmarks do where their data is not there."""

from collections.abc import Callable

import pytest

from tests.benchmarks import clip_b32, heads, lite0

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("main", [clip_b32.main, heads.main, lite0.main])
def test_without_data_the_command_should_say_that_it_skips(
    main: Callable[[list[str]], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("HEADGRAFT_BENCH_DATA", raising=False)

    main([])

    assert capsys.readouterr().out == "skipped: HEADGRAFT_BENCH_DATA is not set\n"
