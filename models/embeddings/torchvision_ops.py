"""Imports torchvision where its compiled operators do not match torch.

The packaged sentence encoder and open_clip import torchvision for pictures, though text needs none
of its operators. A torch build from another index than torchvision's fails there with "operator
torchvision::nms does not exist", and then no encoder, and no demo, would start.
"""

import importlib
import sys

import torch

MISSING = "operator torchvision::nms does not exist"
# torchvision registers a fake kernel for these two at import, whether they were loaded or not.
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []


def import_torchvision() -> bool:
    """Import torchvision; True when its missing operators had to be declared first.

    Only the one known defect is mended (a build whose extension does not load with this torch);
    any other error is raised. A declared operator has no kernel: calling it is still an error.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if MISSING not in str(error):
            raise
    else:
        return False
    _forget_half_imported()
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call] # torch's
    for schema in SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call] # torch's
    # A library that is collected takes its operators with it.
    _declared.append(library)
    importlib.import_module("torchvision")
    return True


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
