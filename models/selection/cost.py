"""What a method's fit will cost; it does not know whether that is too much."""

from collections.abc import Mapping
from typing import Any

from headgraft.models import catalogue
from headgraft.models.task import Task

EPOCHS_USUAL = 270  # where a flat loss usually ends a training
# Two CPU cores: multiply-adds a second, and parameters that Adam updates a second.
MULTIPLY_ADDS = 6e10
UPDATES = 3e8
GPU_SPEEDUP = 20.0


def expected_seconds(task: Task, method: str, settings: Mapping[str, Any], device: str) -> float:
    """Predict the seconds of one fit: 0 for a method without epochs.

    The settings of a method that seldom trains to the last epoch tell their `usual_steps`.
    """
    parsed = catalogue.parse_settings(method, dict(settings))
    constants = parsed.model_dump()
    if "epochs" not in constants:
        return 0.0
    classes = task.head.class_count + len(task.unseen_class_names)
    sizes = task.class_embeddings_SA.shape[1] + task.head.rows.shape[1]
    parameters = 2 * constants["hidden_size"] * sizes
    batch = min(constants["batch_size"], classes)
    steps = min(constants["epochs"], EPOCHS_USUAL) * -(-classes // batch)
    # A method that ends by another rule says so itself.
    steps = min(steps, getattr(parsed, "usual_steps", steps))
    # Each parameter is used twice by the loss, and its gradient costs as much twice over.
    seconds = steps * parameters * (6 * batch / MULTIPLY_ADDS + 1 / UPDATES)
    return float(seconds / GPU_SPEEDUP if device.startswith("cuda") else seconds)
