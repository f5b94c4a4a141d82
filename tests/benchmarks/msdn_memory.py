"""What memory a worker takes for msdn on a file of regions, and how long.

    python -m tests.benchmarks.msdn_memory    # 20,000 pictures, 512 x 49, float16: 1 GB

It makes the file in a temporary folder, sends it to a service of its own, and looks at the resident
memory of all processes of the worker, mapped pages of the file included, five times a second.
"""

import argparse
import json
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from headgraft import Headgraft
from tests import checkpoints, region_features
from tests.fundamentals import client
from tests.processes import Processes
from tests.service.product import product

LOOK_SECONDS = 0.2
BLOCK = 500
SEEN, UNSEEN, ATTRIBUTES, VECTOR = 50, 10, 85, 300


def write(path: Path, pictures: int, feature_size: int, regions: int) -> None:
    """Write a file of random float16 features, block by block."""
    labels_N = np.arange(pictures) % SEEN
    size = pictures * feature_size * regions * 2
    shapes = {"features": [pictures, feature_size, regions], "labels": [pictures]}
    described = {
        "features": {"dtype": "F16", "shape": shapes["features"], "data_offsets": [0, size]},
        "labels": {
            "dtype": "I64", "shape": shapes["labels"],
            "data_offsets": [size, size + 8 * pictures],
        },
    }  # fmt: skip
    raw = json.dumps(described).encode()
    raw += b" " * (-len(raw) % 8)
    draw = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for start in range(0, pictures, BLOCK):
            shape = (min(BLOCK, pictures - start), feature_size, regions)
            file.write(draw.standard_normal(shape, np.float32).astype("<f2").tobytes())
        file.write(labels_N.astype("<i8").tobytes())


def resident(root: int) -> dict[str, int]:
    """Return the resident bytes of a process and all below it, by what they run."""
    family = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    return {f"{one.pid} {one.cmdline()[2]}": one.memory_info().rss for one in family}


def run(running: Processes, source: Path, file: Path) -> None:
    """Send the file, train one epoch, and print what the worker took."""
    worker = running.started[-1].pid
    with Headgraft(running.url) as service:
        features = service.upload_features(file)
    generator = np.random.default_rng(1)
    embeddings = region_features.attributes(
        attribute_names=None, attribute_vectors=generator.normal(size=(ATTRIBUTES, VECTOR)).tolist()
    )
    for part, count in (("seen", SEEN), ("unseen", UNSEEN)):
        embeddings[part] = generator.uniform(size=(count, ATTRIBUTES)).tolist()
    request = region_features.request(
        class_names=checkpoints.class_names(SEEN),
        add=checkpoints.class_names(UNSEEN, "new"),
        class_embeddings=embeddings,
        features_id=features.id,
        settings={"epochs": 1},
    )
    before, most = resident(worker), 0
    queued, began = client.post(running.url, source, request), time.monotonic()
    peaks: dict[str, int] = {}
    while (shown := client.look(running.url, queued["id"]))["status"] in ("queued", "running"):
        now = resident(worker)
        most = max(most, sum(now.values()))
        peaks = {name: max(bytes_, peaks.get(name, 0)) for name, bytes_ in now.items()}
        time.sleep(LOOK_SECONDS)
    print(f"{shown['status']} in {time.monotonic() - began:.0f} s; stages {shown['seconds']}")
    for name, peak in peaks.items():
        print(
            f"{name}: {before.get(name, 0) / 2**20:.0f} MiB before, {peak / 2**20:.0f} MiB at most"
        )
    print(
        f"all of the worker: {most / 2**20:.0f} MiB at most, of a file of {file.stat().st_size} B"
    )


def main(arguments: Sequence[str]) -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.msdn_memory")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--feature-size", type=int, default=512)
    parser.add_argument("--regions", type=int, default=49)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        file = folder / "regions.safetensors"
        write(file, options.pictures, options.feature_size, options.regions)
        source = checkpoints.write(
            folder / "head.safetensors", checkpoints.tensors(SEEN, options.feature_size)
        )
        with product(folder / "product") as running:
            run(running, source, file)


if __name__ == "__main__":
    main(sys.argv[1:])
