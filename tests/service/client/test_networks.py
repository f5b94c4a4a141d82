"""Networks of timm, torchvision and transformers, grafted through the real API and worker."""

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from headgraft import AsyncHeadgraft, Headgraft, HeadgraftError
from headgraft.service.schemas.injections import InjectionResource
from tests import checkpoints
from tests.processes import Processes
from tests.service.client import networks

ADD = checkpoints.class_names(3, "new")
# What is looked at is where rows come to lie, not how good they are.
PLAIN: dict[str, Any] = {"method": "ridge", "calibration": {"enabled": False}}


@pytest.fixture
def client(product: Processes) -> Iterator[Headgraft]:
    with Headgraft(product.url) as client:
        yield client


def wishes(classes: int) -> dict[str, Any]:
    vectors = checkpoints.vectors(classes, len(ADD))
    names = checkpoints.class_names(classes)
    return {"class_names": names, "class_embeddings": vectors, **PLAIN}


def pictures(size: int = 224) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(5))


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Answer as the network does, whoever built it."""
    with torch.inference_mode():
        answer: Any = network(images)
    scores: Tensor = answer if isinstance(answer, Tensor) else answer.logits
    return scores


def assert_grown(old_NC: Tensor, new_NC: Tensor, added: int = len(ADD)) -> None:
    """The old classes' logits are the same bits, the new ones' are numbers."""
    assert new_NC.shape == (old_NC.shape[0], old_NC.shape[1] + added)
    assert new_NC[:, : old_NC.shape[1]].numpy().tobytes() == old_NC.numpy().tobytes()
    assert torch.isfinite(new_NC).all()


@pytest.mark.parametrize("name", networks.TIMM)
def test_a_timm_network_should_come_back_with_its_classifier_grown(
    client: Headgraft, name: str
) -> None:
    network = networks.timm_network(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    old_NC = logits(network, pictures())
    heard: list[InjectionResource] = []

    again = client.inject(network, ADD, on_progress=heard.append, **wishes(1000))

    assert again is network
    assert_grown(old_NC, logits(network, pictures()))
    after = network.state_dict()
    grown = {key for key in after if after[key].shape != before[key].shape}
    assert {key.rsplit(".", 1)[-1] for key in grown} == {"weight", "bias"}
    for key, tensor in after.items():
        assert tensor[:1000].equal(before[key]) if key in grown else tensor.equal(before[key])
    assert network.num_classes == network.get_classifier().out_features == 1003  # type: ignore[operator]
    assert heard[-1].status == "succeeded"
    # The head alone went over the wire.
    assert heard[-1].head.bytes < 1.2 * sum(before[key].nbytes for key in grown)


def built(source: str, kind: str, classes: int) -> nn.Module:
    if source == "timm":
        return networks.timm_network(kind, classes)
    if source == "torchvision":
        return networks.torchvision_network(kind, classes)
    return networks.hugging_face_network(kind, checkpoints.class_names(classes))


CHECKPOINTS = [
    *(("timm", kind, 224) for kind in networks.TIMM),
    *(("torchvision", kind, 32) for kind in networks.TORCHVISION),
    *(("hugging face", kind, 32) for kind in networks.HUGGING_FACE),
]


@pytest.mark.parametrize(("source", "kind", "size"), CHECKPOINTS)
def test_a_checkpoint_should_load_back_into_a_network_of_more_classes(
    client: Headgraft, tmp_path: Path, source: str, kind: str, size: int
) -> None:
    network = built(source, kind, 100)
    save_file(network.state_dict(), tmp_path / "net.safetensors")

    queued = client.submit(tmp_path / "net.safetensors", ADD, **wishes(100))
    client.result(queued.id, timeout_seconds=120)
    saved = client.download(queued.id, tmp_path / "out.safetensors")

    larger = built(source, kind, 100 + len(ADD))
    larger.load_state_dict(load_file(saved))
    assert_grown(logits(network, pictures(size)), logits(larger, pictures(size)))


@pytest.mark.parametrize("kind", networks.HUGGING_FACE)
def test_a_network_that_names_its_classes_should_need_no_names_and_learn_the_new_ones(
    client: Headgraft, kind: str
) -> None:
    names = checkpoints.class_names(20)
    network = networks.hugging_face_network(kind, names)
    old_NC = logits(network, pictures(32))
    vectors = checkpoints.vectors(20, len(ADD))

    client.inject(network, ADD, class_embeddings=vectors, **PLAIN)

    assert_grown(old_NC, logits(network, pictures(32)))
    config: Any = network.config
    assert [config.id2label[index] for index in range(23)] == [*names, *ADD]
    assert config.label2id["new 2"] == 22
    assert config.num_labels == network.num_labels == 23


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_layer_alone_should_be_grown_in_its_own_dtype(
    client: Headgraft, dtype: torch.dtype
) -> None:
    layer = nn.Linear(16, 20, bias=dtype != torch.float64, dtype=dtype)
    layer.weight.requires_grad_(False)
    old = layer.weight.detach().clone()

    client.inject(layer, ADD, **wishes(20))

    assert (layer.weight.shape, layer.weight.dtype, layer.out_features) == ((23, 16), dtype, 23)
    assert torch.equal(layer.weight[:20].view(torch.uint8), old.view(torch.uint8))
    assert not layer.weight.requires_grad


def test_programs_with_an_event_loop_should_graft_several_at_once(product: Processes) -> None:
    layers = [nn.Linear(16, 20) for _ in range(2)]

    async def graft() -> list[nn.Linear]:
        async with AsyncHeadgraft(product.url) as client:
            assert "ridge" in [one.name for one in await client.methods()]
            grafted = await asyncio.gather(
                *(client.inject(layer, ADD, **wishes(20)) for layer in layers)
            )
            listed = await client.injections(status=["succeeded"], limit=2)
            assert [one.unseen_count for one in listed] == [3, 3]
            with pytest.raises(HeadgraftError, match="there is no injection"):
                await client.report("inj_nobodys")
            return grafted

    assert [layer.weight.shape for layer in asyncio.run(graft())] == [(23, 16)] * 2


def test_the_readmes_python_lines_should_graft_a_network(product: Processes) -> None:
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    [block] = [one for one in blocks if "service.inject(" in one]
    animals = ["cat", "dog", "horse", *checkpoints.class_names(17)]
    names: dict[str, Any] = {"model": nn.Linear(16, 20), "names": animals}

    exec(block.replace("http://127.0.0.1:8000", product.url), names)

    assert names["model"].weight.shape == (22, 16)


def two_of_a_kind() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 20))


@pytest.mark.parametrize(
    ("build", "options", "says"),
    [
        (two_of_a_kind, {}, r"2 tensors could be the head: '0\.weight', '1\.weight'"),
        (lambda: nn.Linear(16, 21), {}, "no 2-D tensor of the network has 20 rows"),
        (lambda: nn.Linear(16, 20), {"classifier": "fc"}, "has no tensor 'fc.weight'"),
        (lambda: nn.Conv2d(16, 20, 3), {}, "its 2-D tensors are none"),
        (lambda: nn.Linear(16, 20), {"class_names": None}, "does not name its classes"),
        (
            lambda: networks.hugging_face_network("vit", ["LABEL_0", "LABEL_1"]),
            {"class_names": None},
            "does not name its classes",
        ),
        (lambda: nn.Linear(16, 20).to(torch.float8_e5m2), {}, "legal are F16, BF16, F32, F64"),
        (lambda: nn.Linear(16, 20), {"method": "nothing"}, "'nothing' is not one of"),
        (lambda: nn.Linear(16, 20), {"method": "conse"}, "head of its own kind"),
    ],
)
def test_a_network_that_cannot_be_grafted_should_stay_as_it_is(
    client: Headgraft, build: Callable[[], nn.Module], options: dict[str, Any], says: str
) -> None:
    network = build()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    with pytest.raises(HeadgraftError, match=says):
        client.inject(network, ADD, **{**wishes(20), **options})

    after = network.state_dict()
    assert {name: value.shape for name, value in after.items()} == {
        name: value.shape for name, value in before.items()
    }


class Distilled(nn.Module):
    """Averages two heads, as distilled transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.num_classes = nn.Linear(6, 16), 20
        self.head, self.head_dist = nn.Linear(16, 20), nn.Linear(16, 20)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.body(features)
        both: Tensor = self.head(hidden) + self.head_dist(hidden.relu())
        return both / 2


class Replaced(nn.Module):
    """A network of timm's whose owner put a head of another shape in the place of the old one."""

    pretrained_cfg: dict[str, str] = {"classifier": "fc"}  # noqa: RUF012  # as timm has it

    def __init__(self) -> None:
        super().__init__()
        self.num_classes = 0
        self.fc = nn.Sequential(nn.Dropout(), nn.Linear(6, 20))

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.fc(features)
        return scores

    def get_extra_state(self) -> dict[str, int]:
        return {"version": 1}

    def set_extra_state(self, state: object) -> None:
        """Take nothing of it."""


def convolution() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.Conv2d(6, 20, 1), nn.Flatten())


OTHERS: dict[str, Callable[[], Any]] = {
    "distilled": Distilled,
    "replaced": Replaced,
    "convolution": convolution,
    "weight norm": lambda: weight_norm(nn.Linear(6, 20)),
    "compiled": lambda: torch.compile(nn.Sequential(nn.Linear(6, 20)), backend="eager"),
    "wrapped": lambda: nn.DataParallel(nn.Linear(6, 20)),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_head_of_another_make_should_be_grown_whole_and_used(
    client: Headgraft, kind: str
) -> None:
    torch.manual_seed(0)
    network, features = OTHERS[kind]().eval(), torch.rand(2, 6)
    old_NC = logits(network, features)

    client.inject(network, ADD, **wishes(20))
    client.inject(network, ["once more"], class_names=[*checkpoints.class_names(20), *ADD],
                  class_embeddings=checkpoints.vectors(23, 1), **PLAIN)  # fmt: skip

    new_NC = logits(network, features)
    torch.testing.assert_close(new_NC[:, :20], old_NC)
    assert new_NC.shape == (2, 24)
    if kind == "distilled":
        assert network.num_classes == network.head_dist.out_features == 24


class Untouched(nn.Module):
    """Networks that no part of may change."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def tied() -> nn.Module:
    embedding = nn.Embedding(20, 16)
    network = Untouched(words=embedding, fc=nn.Linear(16, 20, bias=False))
    network.fc.weight = embedding.weight  # type: ignore[union-attr]
    return network


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            lambda: Untouched(num_classes=0, body=nn.Linear(6, 16)),
            "its num_classes is 0",
        ),
        (tied, "'fc.weight' is the same tensor as 'words.weight'"),
        (lambda: Untouched(words=nn.Embedding(20, 16)), "'words.weight' is an embedding"),
        (lambda: nn.Conv2d(40, 20, 1, groups=2), "a convolution in groups"),
        (lambda: Untouched(fc=nn.Linear(16, 20), prior=nn.Parameter(torch.ones(20))), "'prior'"),
    ],
)
def test_what_is_no_head_or_not_all_of_it_should_be_refused_at_once(
    build: Callable[[], nn.Module], says: str
) -> None:
    with (
        Headgraft("http://127.0.0.1:1", retries=0) as client,
        pytest.raises(HeadgraftError, match=says),
    ):  # nobody is asked
        client.inject(build(), ADD, **wishes(20))


def test_what_may_stay_should_be_left_as_it_is(client: Headgraft) -> None:
    network = Untouched(fc=nn.Linear(16, 20), prior=nn.Parameter(torch.ones(20)))

    client.inject(network, ADD, allow_ungrown=["prior"], **wishes(20))

    assert (network.fc.out_features, len(network.prior)) == (23, 20)  # type: ignore[union-attr,arg-type]


def test_a_classifier_should_be_taken_by_name_where_two_would_fit(client: Headgraft) -> None:
    network = two_of_a_kind()

    client.inject(network, ADD, classifier="1", **wishes(20))

    assert [tuple(one.shape) for one in network.parameters()] == [(20, 20), (20,), (23, 20), (23,)]


def test_the_client_should_come_without_torch() -> None:
    program = (
        "import sys; sys.modules.update(torch=None, safetensors=None)\n"
        "import headgraft.client, headgraft.networks"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_network_should_need_no_numpy(product: Processes) -> None:
    program = (
        "import sys; sys.modules.update(numpy=None)\n"
        "from torch import nn; from headgraft import Headgraft\n"
        f"network = Headgraft({product.url!r}).inject(\n"
        f"    nn.Linear(64, 20).bfloat16(), {ADD!r}, **{wishes(20)!r})\n"
        "print(network.out_features, network.weight.dtype)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.stdout == f"{20 + len(ADD)} torch.bfloat16\n", ran.stderr


def test_both_clients_should_have_the_same_calls() -> None:
    def calls(client: type) -> dict[str, str]:
        members = inspect.getmembers(client, inspect.isfunction)
        return {name: str(member.__doc__) for name, member in members if not name.startswith("_")}

    assert calls(Headgraft) == calls(AsyncHeadgraft)
    assert "submit" in calls(Headgraft)
