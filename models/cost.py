"""What a method's fit will cost; it does not know whether that is too much."""

from collections.abc import Mapping
from typing import Any

from models import catalogue
from models.task import Task

# Seconds per parameter and step of icis, as its authors train it, on two CPU cores.
SECONDS_PER_PARAMETER_STEP = 1.1e-8
GPU_SPEEDUP = 20.0
USUAL_EPOCHS = 250  # where the early stop usually ends it


def expected_seconds(task: Task, method: str, settings: Mapping[str, Any], device: str) -> float:
    """Predict the seconds of one fit: 0 for a method without epochs."""
    parsed = catalogue.parse_settings(method, dict(settings)).model_dump()
    if "epochs" not in parsed:
        return 0.0
    classes = task.head.class_count + len(task.unseen_class_names)
    sizes = task.class_embeddings_SA.shape[1] + task.head.rows.shape[1]
    parameters = 2 * parsed["hidden_size"] * sizes
    steps = min(parsed["epochs"], USUAL_EPOCHS) * -(-classes // parsed["batch_size"])
    seconds = SECONDS_PER_PARAMETER_STEP * parameters * steps
    return float(seconds / GPU_SPEEDUP if device.startswith("cuda") else seconds)
