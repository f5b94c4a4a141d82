"""Image-free Classifier Injection with Semantics: two autoencoders that share a hidden code.

ICCV 2023, arXiv 2308.10599. E_a, D_a over class embeddings, E_w, D_w over rows theta = [w ; b];
a row is predicted as D_w(E_a(a_u)). The terms of the loss stand in autoencoders.py.

Differences from the specification, none with `faithful`: class embeddings are centred; rows are
trained in coordinates of the seen rows' span; steps are larger and fewer (found on hidden seen
classes of the Lite0 head); they end when hidden seen classes' rows get no better, not when the
loss is flat, then all are trained for as many; bfloat16 where the device has it. With or without:
a cosine head's theta has unit weights, its injected weights get the seen mean norm; `scale` is
ours; "autoencoders" keeps d(D_w E_a a, theta), or nothing would train the prediction.
"""

import torch

from headgraft.models.features.folds import deal_folds
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import equal_distance, regression_rows, restore_norms, span
from headgraft.models.method import Method, training_seconds
from headgraft.models.methods.icis import training
from headgraft.models.methods.icis.settings import IcisSettings
from headgraft.models.progress import Progress
from headgraft.models.task import Task

USUAL_STEPS = 110  # until hidden classes' rows get no better, both fits together
USUAL_EPOCHS, MOST_STEPS = 270, 20_000  # until the loss is flat


def synthesize(
    task: Task, settings: IcisSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    centre, unit = settings.centre, settings.normalise
    seen_SA, unseen_UA = task.normalised_embeddings(device, torch.float32, centre=centre, unit=unit)
    rows_SK = regression_rows(task.head, device).float()
    embeddings_CA = torch.cat([seen_SA, unseen_UA])

    if settings.faithful or not settings.early_stop:
        networks = training.train_as_authors(embeddings_CA, rows_SK, settings, progress)
        rows_UK = networks.predict(unseen_UA)
    else:
        basis_KR = span(rows_SK)
        hidden_S = (deal_folds(seen_SA, 10, settings.seed) == 0).to(rows_SK.device)
        rows_SR = rows_SK @ basis_KR
        networks = training.train_watching(embeddings_CA, rows_SR, hidden_S, settings, progress)
        rows_UK = networks.predict(unseen_UA) @ basis_KR.T
    if settings.scale > 0:
        rows_UK = equal_distance(rows_UK, rows_SK, settings.scale, task.head)
    return task.head.with_rows(restore_norms(rows_UK, task.head), task.unseen_class_names)


def expected_seconds(task: Task, settings: IcisSettings, device: str | torch.device) -> float:
    """Predict the seconds of a fit, which seldom lasts to the last epoch."""
    classes = task.head.class_count + len(task.unseen_class_names)
    batch = min(settings.constants.batch_size, classes)
    watched = settings.early_stop and not settings.faithful
    steps = min(settings.epochs, USUAL_EPOCHS) * -(-classes // batch)
    steps = min(steps, USUAL_STEPS if watched else MOST_STEPS)
    sizes = task.class_embeddings_SA.shape[1] + task.head.rows.shape[1]
    # Rows and embeddings have an autoencoder each, and two terms of the loss use each half.
    updates = 2 * settings.constants.hidden_size * sizes * steps
    return training_seconds(2 * batch * updates, updates, device)


METHOD = Method(
    name="icis",
    doc=__doc__,
    settings=IcisSettings,
    synthesize=synthesize,
    candidate=True,
    iterative=True,
    expected_seconds=expected_seconds,
)
