"""torchvision beside a torch its operators were not built for; each case in a fresh process."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(code: str, *, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": ""},
    )


def test_torchvision_should_be_importable_afterwards() -> None:
    done = run(
        "from headgraft.models.embeddings.torchvision_ops import import_torchvision as f; f(); "
        "import torchvision, torchvision.transforms; print(f())"
    )

    assert done.returncode == 0, done.stderr
    # Asked again there is nothing left to mend.
    assert done.stdout.strip() == "False"


def fake_torchvision(folder: Path, body: str) -> Path:
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(body)
    return folder


ASK = "from headgraft.models.embeddings.torchvision_ops import import_torchvision as f; print(f())"
NEEDS_OPERATORS = """
import torch
@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold): return dets
@torch.library.register_fake("torchvision::qnms")
def qnms(dets, scores, iou_threshold): return dets
"""


def test_missing_operators_should_be_declared(tmp_path: Path) -> None:
    done = run(ASK, folder=fake_torchvision(tmp_path, NEEDS_OPERATORS))

    assert done.stdout.strip() == "True", done.stderr


def test_a_working_torchvision_should_be_left_alone(tmp_path: Path) -> None:
    done = run(
        f"{ASK}; import torch; print(hasattr(torch.ops.torchvision, 'nms'))",
        folder=fake_torchvision(tmp_path, ""),
    )

    assert done.stdout.split() == ["False", "False"], done.stderr


def test_any_other_error_should_be_raised(tmp_path: Path) -> None:
    done = run(ASK, folder=fake_torchvision(tmp_path, "raise RuntimeError('disk on fire')"))

    assert done.returncode == 1
    assert "disk on fire" in done.stderr
