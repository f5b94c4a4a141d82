"""A tiny real picture-text model, saved the way an operator installs one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from headgraft.models.embeddings.encoders import CONFIG_FILE
from headgraft.models.embeddings.torchvision_ops import import_torchvision

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 1,
    },
}


def save_local_dir(folder: Path, seed: int = 0) -> None:
    """Save a random open_clip model as a local-dir."""
    import_torchvision()
    from open_clip.model import CLIP

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CLIP(**TINY)
    folder.mkdir(parents=True)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": TINY, "preprocess_cfg": {}}
    (folder / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")


@pytest.fixture(scope="session")
def encoders_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with one encoder, `tiny`, and things that are none."""
    folder = tmp_path_factory.mktemp("encoders")
    save_local_dir(folder / "tiny")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("not an encoder")
    save_local_dir(folder / "Upper Case")
    broken = folder / "broken"
    save_local_dir(broken)
    (broken / CONFIG_FILE).write_text("{")
    return folder
