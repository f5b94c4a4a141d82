"""Where a result goes, by what came in and by the suffix that is asked for."""

from pathlib import Path

import pytest

from headgraft.service.cli.parsing import TypedError
from headgraft.service.cli.targets import choose_target, find_source


def place(folder: Path, name: str, out: str | None = None) -> tuple[str, str | None, bool]:
    """Return the name, the format and whether it is torch's, of the result of one new class."""
    (folder / name).touch()
    target = choose_target(
        find_source(folder / name), 1, folder / out if out else None, may_overwrite=False
    )
    return target.path.relative_to(folder).as_posix(), target.format, target.is_torch


@pytest.mark.parametrize(
    ("name", "out", "placed"),
    [
        ("net.safetensors", None, ("net+1.safetensors", None, False)),
        ("net.pth", None, ("net+1.pth", None, True)),
        ("net.pth.tar", None, ("net+1.pth.tar", None, True)),
        ("pytorch_model.bin", None, ("pytorch_model+1.bin", None, True)),
        ("last.CKPT", "x.ckpt", ("x.ckpt", None, True)),
        ("net.pth", "x.safetensors", ("x.safetensors", None, False)),
        ("net.safetensors", "x.pth", ("x.pth", None, True)),
        ("net.safetensors", "x.pt", ("x.pt", "pt", False)),
        ("net.pt", "x.pt", ("x.pt", None, True)),
        ("net.pt", "x.onnx", ("x.onnx", "onnx", False)),
        ("net.safetensors", "x.npz", ("x.npz", "npz", False)),
        ("net.safetensors", "x.json", ("x.json", "labels", False)),
        ("net", None, ("net+1.safetensors", None, False)),
    ],
)
def test_the_suffix_should_say_what_the_file_is(
    tmp_path: Path, name: str, out: str | None, placed: tuple[str, str | None, bool]
) -> None:
    assert place(tmp_path, name, out) == placed


@pytest.mark.parametrize(
    ("out", "reason"),
    [("x.h5", "has the suffix '.h5'"), ("x", "has the suffix ''"), ("no/x.pth", "no folder")],
)
def test_what_cannot_be_written_should_be_refused(tmp_path: Path, out: str, reason: str) -> None:
    with pytest.raises(TypedError, match=reason):
        place(tmp_path, "net.safetensors", out)


def test_what_lies_there_should_stay(tmp_path: Path) -> None:
    (tmp_path / "net+1.pth").touch()
    with pytest.raises(TypedError, match="exists already"):
        place(tmp_path, "net.pth")


def test_a_folder_should_become_a_folder(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    with pytest.raises(TypedError, match=r"Folders are read of .* they hold config\.json"):
        find_source(model)
    for name in ("config.json", "model.safetensors"):
        (model / name).touch()
    source = find_source(model)
    beside = choose_target(source, 2, None, may_overwrite=False)
    assert beside.folder == tmp_path / "model+2"
    assert beside.path == tmp_path / "model+2" / "model.safetensors"
    alone = choose_target(source, 2, tmp_path / "x.onnx", may_overwrite=False)
    assert (alone.folder, alone.format) == (None, "onnx")
    dotted = choose_target(source, 2, tmp_path / "vit-0.5", may_overwrite=False)
    assert dotted.folder == tmp_path / "vit-0.5"
    for out in (model, tmp_path):
        with pytest.raises(TypedError, match=r"exists already|is the folder that is read"):
            choose_target(source, 2, out, may_overwrite=False)
