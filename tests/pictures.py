"""Makes folders of small pictures for tests: random blotches, seeded, of nothing at all."""

from pathlib import Path

import numpy as np
from PIL import Image


def write(folder: Path, classes: int = 10, each: int = 5, side: int = 40) -> Path:
    """Write as many pictures of every class, one folder for each; return the folder."""
    draw = np.random.default_rng(3)
    for number in range(classes):
        inside = folder / f"class {number}"
        inside.mkdir(parents=True)
        for picture in range(each):
            pixels = draw.integers(0, 256, (side, side + 8, 3), np.uint8)
            Image.fromarray(pixels).save(inside / f"{picture}.png")
    return folder
