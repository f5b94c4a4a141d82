"""Region features in a file: read by number, mapped and let go, refused where they are not."""

from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import save_file

from headgraft.models.errors import InjectionError
from headgraft.workers.run import regions
from headgraft.workers.run.regions import RegionFile
from tests import region_features


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("shape", [(8, 6), (8, 3, 2)])
def test_pictures_should_be_read_as_they_were_written(
    tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    written = torch.randn(9, *shape, generator=generator).to(dtype)
    labels_N = torch.arange(9, dtype=torch.int16)
    save_file({"labels": labels_N, "features": written}, tmp_path / "f.safetensors")

    found = RegionFile(tmp_path / "f.safetensors")

    numbers_B = torch.tensor([7, 0, 7])
    assert torch.equal(found.take(numbers_B), written[numbers_B].float().flatten(2))
    assert found.labels_N.tolist() == list(range(9))
    assert found.labels_N.dtype == torch.int64
    assert found.feature_size == 8
    assert found.grid == ((3, 2) if len(shape) == 3 else (1, 6))


def test_pages_that_were_given_back_should_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = region_features.write(tmp_path / "f.safetensors")
    before_NDR = RegionFile(path).take(torch.arange(100))
    monkeypatch.setattr(regions, "TOUCHED_BYTES_MAX", 1)
    found = RegionFile(path)

    parts = [found.take(part_B) for part_B in torch.split(torch.arange(100), 7)]

    assert torch.equal(torch.cat(parts), before_NDR)


def test_a_picture_that_is_not_finite_should_be_named(tmp_path: Path) -> None:
    features_NDR = torch.zeros(4, 3, 2)
    features_NDR[2, 1, 1] = torch.inf
    save_file(
        {"features": features_NDR, "labels": torch.zeros(4, dtype=torch.int64)}, tmp_path / "f"
    )

    with pytest.raises(InjectionError, match="features of picture 2 hold NaN") as caught:
        RegionFile(tmp_path / "f").take(torch.tensor([0, 2]))
    assert caught.value.code == "invalid_features"


BROKEN = {
    "pooled": {"features": torch.zeros(4, 3), "labels": torch.zeros(4, dtype=torch.int64)},
    "double": {
        "features": torch.zeros(4, 3, 2, dtype=torch.float64),
        "labels": torch.zeros(4, dtype=torch.int64),
    },
    "without labels": {"features": torch.zeros(4, 3, 2)},
}


@pytest.mark.parametrize("case", BROKEN)
def test_another_file_should_be_an_error_of_the_users(tmp_path: Path, case: str) -> None:
    save_file(BROKEN[case], tmp_path / "f")

    with pytest.raises(InjectionError) as caught:
        RegionFile(tmp_path / "f")
    assert (caught.value.code, caught.value.pointer) == ("invalid_features", "/features_id")


def test_no_safetensors_file_should_be_an_error_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"nothing at all")

    with pytest.raises(InjectionError, match="cannot be read"):
        RegionFile(tmp_path / "f")


def test_a_file_that_was_read_through_should_not_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features_NDR = torch.zeros(1600, 32, 1024, dtype=torch.float16)  # 100 MiB
    labels_N = torch.zeros(1600, dtype=torch.int64)
    save_file({"features": features_NDR, "labels": labels_N}, tmp_path / "f")
    del features_NDR
    monkeypatch.setattr(regions, "TOUCHED_BYTES_MAX", 8 * 1024**2)
    found, process = RegionFile(tmp_path / "f"), psutil.Process()

    def mapped() -> int:
        maps = [one for one in process.memory_maps() if one.path == str(tmp_path / "f")]
        return sum(one.rss for one in maps)

    most = 0
    for part_B in torch.split(torch.arange(1600), 16):
        found.take(part_B)
        most = max(most, mapped())

    assert 0 < most < 32 * 1024**2


def test_regions_without_labels_should_be_refused_in_words(tmp_path: Path) -> None:
    save_file({"features": torch.zeros(4, 3, 2)}, tmp_path / "f")

    with pytest.raises(InjectionError, match="looks at regions needs a label for every picture"):
        RegionFile(tmp_path / "f")
