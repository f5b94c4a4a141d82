"""Runs generic pictures through the network that a job names, to calibrate by what it sees."""

from pathlib import Path

import structlog
import torch
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import UnlabelledFeatures
from headgraft.models.progress import Progress, Stopped
from headgraft.workers.jobs.report import NetworkPictures
from headgraft.workers.jobs.request import NetworkFields
from headgraft.workers.jobs.spec import JobSpec
from headgraft.workers.torch_files.convert import ConversionLimits

# A network's own tensors beside those that are read from the file.
COPIES = 2
log = structlog.get_logger()


def run_pictures(
    spec: JobSpec,
    network: NetworkFields,
    source: Path,
    *,
    device: str,
    limits: ConversionLimits,
    progress: Progress,
) -> tuple[UnlabelledFeatures | None, NetworkPictures]:
    """Return the features of generic pictures, and what the report says of them.

    No features, and a reason, where the checkpoint `source` is not that network's, or the network
    cannot be run within `limits` of memory.
    """
    try:
        features_ND = _features(spec, network.timm, source, device, limits, progress)
    except Stopped:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        return None, _skipped(network, f"the device's memory did not suffice: {error}")
    except torch.AcceleratorError:
        raise  # the device is dead, for the rest of the job too
    except InjectionError as error:
        return None, _skipped(network, str(error))
    except Exception as error:  # whatever a network of timm raises
        log.exception("pictures_not_run", network=network.timm)
        return None, _skipped(network, f"{type(error).__name__}: {error}")
    seen = NetworkPictures(timm=network.timm, pictures=len(features_ND))
    return UnlabelledFeatures(features_ND, generic=True), seen


def _features(
    spec: JobSpec,
    name: str,
    source: Path,
    device: str,
    limits: ConversionLimits,
    progress: Progress,
) -> Tensor:
    try:
        from headgraft.workers.pictures import pooled, timm_networks
    except ImportError as error:
        raise InjectionError(f"this worker has no pictures: {error}") from error
    needed = COPIES * source.stat().st_size
    if needed > limits.memory_bytes:
        limit = f"HEADGRAFT_CONVERT_MEMORY_BYTES of this worker is {limits.memory_bytes}"
        raise InjectionError(f"the network takes {needed} bytes of memory; {limit}")
    weight, classes = spec.head.located.weight, len(spec.head.class_names)
    network = timm_networks.network_of_checkpoint(name, source, classes)
    classifier = network.get_submodule(weight.rpartition(".")[0])
    if classifier not in timm_networks.classifiers(network):
        raise InjectionError(f"the head found, {weight!r}, is not the classifier of {name!r}")
    network = network.to(device)
    return pooled.generic_features(network, classifier, None, lambda *_done: progress.check())


def _skipped(network: NetworkFields, reason: str) -> NetworkPictures:
    first = reason.strip().partition("\n")[0]
    sentence = f"no picture was run through timm:{network.timm}: {first}"
    return NetworkPictures(timm=network.timm, pictures=0, skipped=sentence)
