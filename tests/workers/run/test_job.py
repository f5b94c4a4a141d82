"""One injection from files to files: no Redis, no HTTP."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from headgraft.models import catalogue
from headgraft.models.errors import InjectionError
from headgraft.models.progress import Progress, Stopped
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.run.job import HEAD_FILE, REPORT_FILE, EncoderRegistry, run_job
from headgraft.workers.store import Store
from headgraft.workers.torch_files import confined, convert
from headgraft.workers.torch_files.convert import ConversionLimits
from tests import checkpoints
from tests.models.conftest import save_local_dir
from tests.models.small_constants import SHRINK
from tests.workers.torch_files import files

LIMITS = ConversionLimits(memory_bytes=1 << 30, seconds=60)
TENSORS = HeadTensors(
    weight="fc.weight", bias="fc.bias", class_count=20, feature_size=16, dtype="F32"
)


def spec(**fields: Any) -> jobs.JobSpec:
    document = {
        "head": {
            "path": "x",
            "sha256": "0",
            "bytes": 1,
            "tensors": TENSORS,
            "metric": "linear",
            "scale": 1.0,
            "class_names": checkpoints.class_names(20),
        },
        "add": checkpoints.class_names(3, "new"),
        "class_embeddings": checkpoints.vectors(),
        "method": "ridge",
        "settings": {},
        "timeout_seconds": 60,
        **fields,
    }
    return jobs.JobSpec.model_validate(document)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return checkpoints.write(tmp_path / "in.safetensors")


def run(
    task: jobs.JobSpec,
    source: Path,
    progress: Progress | None = None,
    encoders: Path | None = None,
    features: Path | None = None,
) -> dict[str, Any]:
    """Run a job; return its report as JSON has it, and what is known of its page."""
    registry = EncoderRegistry(encoders, source.parent / "cache", "cpu")
    report, drawn = run_job(
        task,
        source,
        source.parent,
        registry=registry,
        device="cpu",
        limits=LIMITS,
        progress=progress or Progress(),
        features=features,
    )
    document = report.model_dump(mode="json", exclude_unset=True)
    return {**document, "page": drawn and drawn.model_dump()}


def test_a_job_should_extend_the_head_and_leave_the_rest(source: Path) -> None:
    run(spec(), source)
    old, new = load_file(source), load_file(source.parent / HEAD_FILE)
    assert new["fc.weight"].shape == (23, 16)
    assert new["fc.bias"].shape == (23,)
    assert torch.equal(new["fc.weight"][:20], old["fc.weight"])
    assert torch.isfinite(new["fc.weight"]).all()
    for name in ("conv.weight", "bn.num_batches_tracked"):
        assert torch.equal(new[name], old[name])


def test_the_report_should_prove_that_old_rows_are_the_same_bytes(source: Path) -> None:
    run(spec(), source)
    report = json.loads((source.parent / REPORT_FILE).read_text())
    assert report["seen_rows"]["bit_identical"] is True
    assert set(report["seen_rows"]["sha256_before"]) == {"fc.weight", "fc.bias"}
    assert set(report["norms"]["unseen"]) == {"new 0", "new 1", "new 2"}
    assert len(report["nearest_seen_classes"]["new 0"]) == 5
    assert set(report["seconds"]) == {"load", "embed", "synthesize", "write"}


def test_a_job_without_calibration_should_take_the_method_as_it_comes(source: Path) -> None:
    report = run(spec(calibration={"enabled": False}), source)
    assert report["settings"] == catalogue.method("ridge").parse({}).dump
    assert "estimate" not in report


def test_auto_should_choose_a_method_and_tell_what_it_tried_and_expects(source: Path) -> None:
    report = run(spec(method="auto"), source)
    assert report["asked"] == {"method": "auto", "settings": {}}
    assert report["method"] in catalogue.names()
    assert {one["method"] for one in report["tried"]} >= {"ridge", "icis"}
    for key in ("T1", "u", "s", "H"):
        figure = report["estimate"][key]
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert set(report["outlook"]) == {"new 0", "new 1", "new 2"}
    assert sum(point["chosen"] for point in report["curve"]) <= 1
    assert [len(report["map"][part]) for part in ("seen", "unseen")] == [20, 3]


def test_names_should_go_through_the_packaged_encoder(source: Path) -> None:
    animals = ["cat", "dog", "horse", *checkpoints.class_names(17)]
    head = {**spec().head.model_dump(), "class_names": animals}
    report = run(spec(head=head, class_embeddings={"kind": "names"}, add=["kitten"]), source)
    assert report["nearest_seen_classes"]["kitten"][0]["class"] == "cat"


def test_an_operators_picture_text_model_should_write_prompts(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_local_dir(tmp_path / "encoders" / "tiny")
    SHRINK["ship"](monkeypatch)
    wish = {"method": "ship", "settings": {"features_per_class": 3}}
    named = {"kind": "names", "encoder": "tiny"}

    report = run(spec(class_embeddings=named, **wish), source, encoders=tmp_path / "encoders")

    assert report["method"] == "ship"
    assert report["settings"]["features_per_class"] == 3
    assert load_file(source.parent / HEAD_FILE)["fc.weight"].shape == (23, 16)
    with pytest.raises(InjectionError, match="name an open_clip encoder"):
        run(spec(**wish), source)


def test_an_unknown_method_encoder_or_setting_should_name_the_legal_ones(source: Path) -> None:
    with pytest.raises(InjectionError, match=r"'magic' is not one of .*ridge"):
        run(spec(method="magic"), source)
    with pytest.raises(InjectionError, match="minilm"):
        run(spec(class_embeddings={"kind": "names", "encoder": "clip"}), source)
    with pytest.raises(InjectionError, match=r"no setting 'depth'"):
        run(spec(settings={"depth": 3}), source)


def test_a_stop_should_leave_no_file(source: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        run(spec(), source, Progress(should_stop=stop))
    assert not (source.parent / HEAD_FILE).exists()


def torch_spec(**head: Any) -> jobs.JobSpec:
    return spec(head={**spec().head.model_dump(), "format": "torch", "tensors": None, **head})


def test_a_torch_file_should_be_extended_as_safetensors(tmp_path: Path) -> None:
    old = checkpoints.tensors()
    source = files.write(tmp_path / "in.pt", {"epoch": 3, "state_dict": old})
    report = run(torch_spec(), source)
    new = load_file(tmp_path / HEAD_FILE)
    assert new["fc.weight"].shape == (23, 16)
    assert torch.equal(new["fc.weight"][:20], old["fc.weight"])
    assert torch.equal(new["conv.weight"], old["conv.weight"])
    assert report["seen_rows"]["bit_identical"] is True
    assert report["head"] == TENSORS.model_dump(include={"weight", "bias", "feature_size", "dtype"})
    assert report["converted"] == {
        "from": "torch",
        "state_dict": "state_dict",
        "dropped": ["epoch"],
        "dropped_count": 1,
    }


def test_a_safetensors_file_should_not_be_called_converted(source: Path) -> None:
    assert run(spec(), source)["converted"] is None


def test_a_torch_file_of_the_store_should_be_converted_any_number_of_times(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's own file stays as it is, with nothing beside it; without the process."""

    def convert_here(source: Path, target: Path, **_limits: object) -> convert.Conversion:
        verdict = confined.convert(source, target, LIMITS.memory_bytes)
        assert verdict.conversion
        return verdict.conversion

    monkeypatch.setattr(convert, "convert", convert_here)
    sent = files.write(tmp_path / "in.pt", checkpoints.tensors()).read_bytes()
    store.write("ada/uploads/head_1/checkpoint.pt", sent)
    sha256 = hashlib.sha256(sent).hexdigest()
    for run in ("first", "second"):
        folder = tmp_path / run
        folder.mkdir()
        fetched = store.fetch("ada/uploads/head_1/checkpoint.pt", folder, sha256)
        _, target, _ = convert.converted(torch_spec(), fetched, limits=LIMITS, progress=Progress())
        assert list(folder.iterdir()) == [target]
    assert store.read("ada/uploads/head_1/checkpoint.pt") == sent
    assert list(store.paths("")) == ["ada/uploads/head_1/checkpoint.pt"]


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        (
            {"class_names": checkpoints.class_names(19)},
            "you gave 19 class names, 'fc.weight' has 20 rows",
        ),
        ({"weight": "nowhere"}, "no tensor 'nowhere'"),
        ({"bias": "conv.weight"}, "bias 'conv.weight'"),
    ],
)
def test_a_torch_file_without_the_head_should_be_an_invalid_checkpoint(
    tmp_path: Path, head: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InjectionError, match=complaint) as caught:
        run(torch_spec(**head), files.write(tmp_path / "in.pt"))
    assert caught.value.code == "invalid_checkpoint"


def test_a_torch_head_that_is_not_finite_should_be_an_invalid_checkpoint(tmp_path: Path) -> None:
    tensors = checkpoints.tensors()
    tensors["fc.weight"][5, 3] = float("nan")
    with pytest.raises(InjectionError, match="'class 5' holds NaN") as caught:
        run(torch_spec(), files.write(tmp_path / "in.pt", tensors))
    assert caught.value.code == "invalid_checkpoint"


@pytest.mark.parametrize("enabled", [True, False])
def test_rows_that_were_to_be_replaced_should_be_replaced_and_said_to_be(
    source: Path, *, enabled: bool
) -> None:
    settings = {"replace_seen": True, "filter_by_head": False}
    wanted = spec(
        method="dfzsl",
        settings=settings,
        class_embeddings=checkpoints.vectors(size=16),
        calibration={"enabled": enabled},
    )

    report = run(wanted, source)

    old, new = load_file(source), load_file(source.parent / HEAD_FILE)
    assert new["fc.weight"].shape == (23, 16)
    assert not (new["fc.weight"][:20] == old["fc.weight"]).all(dim=1).any()
    assert torch.equal(new["conv.weight"], old["conv.weight"])
    assert report["seen_rows"]["bit_identical"] is False
    assert "replaced, as asked" in (source.parent / "report.html").read_text()


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (20, "trained on the 80 labelled features, not on virtual ones"),
        (19, "trained on virtual features: 1 of the 20 classes have no labelled one"),
    ],
)
def test_a_method_that_takes_features_should_say_whether_it_trained_on_them(
    source: Path, classes: int, said: str
) -> None:
    pictures = {"features": torch.randn(80, 16), "labels": torch.arange(80) % classes}
    save_file(pictures, source.parent / "pictures.safetensors")
    settings = {"filter_by_head": False}
    wanted = spec(method="dfzsl", settings=settings, class_embeddings=checkpoints.vectors(size=16))

    report = run(wanted, source, features=source.parent / "pictures.safetensors")

    assert said in report["estimate"]["reasons"]
