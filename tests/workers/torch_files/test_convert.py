"""Torch files of strangers: what is read of them, and the process that may die of it.

Starting that process takes two CPU seconds, so that what is read is tested without it.
"""

import argparse
import collections
import enum
import functools
import os
import tarfile
import threading
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.progress import Progress, Stopped
from headgraft.workers.formats.header import LEGACY_START
from headgraft.workers.torch_files import confined
from headgraft.workers.torch_files.convert import Conversion, ConversionLimits, convert
from tests import checkpoints
from tests.processes import eventually
from tests.workers.torch_files import files

MIB = 1 << 20
LIMITS = ConversionLimits(memory_bytes=1 << 30, seconds=240)
# What is left to small files, so that a bomb need not be large.
TIGHT = ConversionLimits(memory_bytes=200 * MIB, seconds=240)


class Opcode(enum.Enum):
    """An enumeration of a user's own."""

    STOP = "."


def converted(
    source: Path, limits: ConversionLimits = LIMITS, stop: threading.Event | None = None
) -> tuple[dict[str, Tensor], Conversion]:
    target = source.with_suffix(".safetensors")
    said = convert(source, target, limits=limits, progress=Progress(should_stop=stop))
    return load_file(target), said


def read(source: Path) -> tuple[dict[str, Tensor], Conversion]:
    """Convert a file as the process does, without one."""
    target = source.with_suffix(".safetensors")
    verdict = confined.convert(source, target, LIMITS.memory_bytes)
    assert verdict.conversion, verdict.defect
    return load_file(target), verdict.conversion


def unreadable(source: Path) -> str:
    """Return what is wrong with a file, found without a process."""
    verdict = confined.convert(source, source.with_suffix(".safetensors"), LIMITS.memory_bytes)
    assert verdict.conversion is None
    assert verdict.defect
    return verdict.defect


def refusal(source: Path, limits: ConversionLimits = LIMITS) -> str:
    with pytest.raises(InjectionError) as caught:
        converted(source, limits)
    assert caught.value.code == "invalid_checkpoint"
    assert converters() == []
    return str(caught.value)


def converters() -> list[psutil.Process]:
    return files.readers(psutil.Process())


def assert_equal(new: dict[str, Tensor], old: dict[str, Tensor]) -> None:
    assert set(new) == set(old)
    for name, tensor in old.items():
        assert new[name].dtype == tensor.dtype
        assert torch.equal(new[name], tensor)


def test_a_state_dict_should_come_out_bit_for_bit(tmp_path: Path) -> None:
    new, said = converted(files.write(tmp_path / "in.pt"))
    assert_equal(new, checkpoints.tensors())
    assert said == Conversion(state_dict=None, dropped=[], dropped_count=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_a_dtype_should_be_kept(tmp_path: Path, dtype: torch.dtype) -> None:
    old = checkpoints.tensors(dtype=dtype)
    new, _ = read(files.write(tmp_path / "in.pt", old))
    assert_equal(new, old)


def test_a_training_checkpoint_should_give_its_state_dict_and_name_the_rest(
    tmp_path: Path,
) -> None:
    network = torch.nn.Sequential(OrderedDict(fc=torch.nn.Linear(4, 3)))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    saved = {
        "epoch": 3,
        "best_acc1": torch.tensor([76.1]),
        "state_dict": {**network.state_dict(), "fc._extra_state": {"scale": 1}},
        "optimizer": optimizer.state_dict(),
    }
    new, said = read(files.write(tmp_path / "in.pt", saved))
    assert_equal(new, network.state_dict())
    assert said.state_dict == "state_dict"
    assert said.dropped == ["epoch", "best_acc1", "optimizer", "fc._extra_state"]


def test_tensors_that_share_memory_should_each_come_out_whole(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    old = {"a": whole, "tied": whole, "part": whole[1:3, ::2], "turned": whole.T}
    old |= {"one": whole[:1, :1], "none": whole[:0], "number": whole[2, 3], "cast": whole[:, 0] > 6}
    new, _ = read(files.write(tmp_path / "in.pt", old))
    assert_equal(new, old)


def test_parameters_should_be_taken_as_tensors(tmp_path: Path) -> None:
    old = {"fc.weight": torch.nn.Parameter(torch.ones(3, 4))}
    new, _ = read(files.write(tmp_path / "in.pt", old))
    assert_equal(new, {"fc.weight": torch.ones(3, 4)})


def test_code_in_a_file_should_be_named_and_not_run(tmp_path: Path) -> None:
    message = refusal(files.forbidden(tmp_path / "in.pt"))
    assert "'posix.system'" in message
    assert "weights_only" not in message


def test_a_whole_module_should_be_refused_with_the_way_out(tmp_path: Path) -> None:
    message = unreadable(files.write(tmp_path / "in.pt", torch.nn.Linear(2, 2)))
    assert "'torch.nn.modules.linear.Linear'" in message
    assert "torch.save(model.state_dict(), path)" in message


def test_a_file_of_torch_before_1_6_should_be_read(tmp_path: Path) -> None:
    new, _ = read(files.write(tmp_path / "in.pt", is_zip=False))
    assert_equal(new, checkpoints.tensors())


def test_a_tar_file_that_begins_as_torch_did_should_not_be_unpacked(tmp_path: Path) -> None:
    name = LEGACY_START.decode("latin1")
    with tarfile.TarFile(
        tmp_path / "in.pt", "w", format=tarfile.USTAR_FORMAT, encoding="latin1"
    ) as archive:
        archive.addfile(tarfile.TarInfo(name))
    assert (tmp_path / "in.pt").read_bytes().startswith(LEGACY_START)
    assert "not what torch.save writes" in unreadable(tmp_path / "in.pt")


@pytest.mark.parametrize("is_zip", [True, False])
def test_objects_beside_the_tensors_should_be_left_out_and_named(
    tmp_path: Path, *, is_zip: bool
) -> None:
    beside = {
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
        "path": Path("runs"),
        "make": functools.partial(print, 1),
        "best": np.float64(0.9),
        "curve": np.ones(3),
        "part": Opcode.STOP,
        "seen": {1, 2},
        "by_pair": {(1, 2): 3},
        "error": ValueError("no"),
        "counts": collections.defaultdict(list, {"a": [1]}),
    }
    saved = {"state_dict": checkpoints.tensors(), **beside}
    new, said = read(files.write(tmp_path / "in.pt", saved, is_zip=is_zip))
    assert_equal(new, checkpoints.tensors())
    assert said.dropped == list(beside)


def test_views_and_rare_dtypes_should_be_read_as_torch_reads_them(tmp_path: Path) -> None:
    old = {
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "negative": torch._neg_view(torch.ones(2)),
        "float8": torch.ones(3).to(torch.float8_e4m3fn),
        "counts": torch.ones(3, dtype=torch.uint16),
    }
    new, _ = read(files.write(tmp_path / "in.pt", old))
    for name, tensor in old.items():
        assert new[name].dtype == tensor.dtype
        assert new[name].tolist() == tensor.tolist()


@pytest.mark.parametrize(
    ("entry", "kind"),
    [("m/constants.pkl", "TorchScript"), ("m/archive_format", "torch.export"),
     ("head.npy", "NumPy"), ("model.weights.h5", "Keras")],
)  # fmt: skip
def test_another_programs_zip_file_should_be_called_by_its_name(
    tmp_path: Path, entry: str, kind: str
) -> None:
    with zipfile.ZipFile(tmp_path / "in.pt", "w") as archive:
        archive.writestr(entry, b"")
    assert kind in unreadable(tmp_path / "in.pt")


def test_a_truncated_file_should_be_refused(tmp_path: Path) -> None:
    source = files.write(tmp_path / "in.pt")
    os.truncate(source, source.stat().st_size // 2)
    assert "central directory" in unreadable(source)


def test_an_index_that_leads_out_of_the_file_should_be_the_files_fault(tmp_path: Path) -> None:
    source = files.write(tmp_path / "in.pt", {"fc.weight": torch.ones(64, 64)})
    content = bytearray(source.read_bytes())
    content[-21] ^= 0xFF  # in the mark that the zip file's end is found by
    source.write_bytes(content)
    assert "reading zip archive" in unreadable(source)


def test_a_file_that_unpacks_to_far_more_should_hit_the_memory_limit(tmp_path: Path) -> None:
    source = files.bomb(tmp_path / "in.pt", 600 * MIB)
    assert source.stat().st_size < MIB
    assert f"more than {200 * MIB} bytes of memory" in refusal(source, TIGHT)


def test_one_number_spread_over_a_huge_tensor_should_not_be_written_out(tmp_path: Path) -> None:
    message = unreadable(files.expanded(tmp_path / "in.pt"))
    assert f"take {4 << 40} bytes when written out" in message
    assert list(tmp_path.iterdir()) == [tmp_path / "in.pt"]


def test_a_huge_buffer_asked_for_by_a_number_should_hit_the_memory_limit(tmp_path: Path) -> None:
    ask = b"\x96" + (1 << 30).to_bytes(8, "little")
    source = files.write_program(tmp_path / "in.pt", b"\x80\x02" + ask + b".")
    assert "bytes of memory" in refusal(source, TIGHT)


def test_a_file_that_takes_for_ever_should_be_given_up(tmp_path: Path) -> None:
    source = files.endless(tmp_path / "in.pt")
    start = time.monotonic()
    message = refusal(source, ConversionLimits(memory_bytes=1 << 30, seconds=1))
    assert "longer than 1 s" in message
    assert time.monotonic() - start < 120


def test_a_source_that_never_answers_should_be_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in.pt")
    message = refusal(tmp_path / "in.pt", ConversionLimits(memory_bytes=1 << 30, seconds=0.5))
    assert "longer than 0.5 s" in message


def test_a_stop_should_end_the_process_soon(tmp_path: Path) -> None:
    source, stop = files.endless(tmp_path / "in.pt"), threading.Event()
    ended: list[float] = []

    def work() -> None:
        with pytest.raises(Stopped):
            converted(source, stop=stop)
        ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    eventually(lambda: converters() and converters()[0].cpu_times().user > 1, 60, "it works")
    [process] = converters()
    told = time.monotonic()
    stop.set()
    thread.join()
    assert ended[0] - told < 10
    assert not process.is_running()


def test_the_process_should_see_nothing_of_our_settings_and_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGRAFT_REDIS_URL", "redis://user:password@host")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    source = files.endless(tmp_path / "in.pt")
    thread = threading.Thread(target=lambda: refusal(source, ConversionLimits(1 << 30, seconds=2)))
    thread.start()
    eventually(lambda: converters(), 60, "it runs")
    environment = converters()[0].environ()
    thread.join()
    assert environment["OMP_NUM_THREADS"] == "1"
    assert not {name for name in environment if name.startswith(("HEADGRAFT", "AWS"))}


def test_our_own_failures_should_not_be_blamed_on_the_file(tmp_path: Path) -> None:
    source = files.write(tmp_path / "in.pt")
    with pytest.raises(RuntimeError, match="No such file or directory"):
        convert(source, tmp_path / "no" / "folder", limits=LIMITS, progress=Progress())
