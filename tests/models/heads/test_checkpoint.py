"""Checkpoints: a head read from a file, and the file with the head extended."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from headgraft.models.errors import InjectionError
from headgraft.models.heads import checkpoint
from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head
from headgraft.models.heads.stored import StoredLayer
from tests.models.builders import make_head

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
NAMES = [f"class {index}" for index in range(5)]
FC = StoredLayer("fc.weight", "fc.bias", 3)


def others() -> dict[str, torch.Tensor]:
    """Tensors of every width, an empty and a scalar one, whose bytes must survive."""
    generator = torch.Generator().manual_seed(2)
    return {
        "stem.weight": torch.randn(4, 3, 3, generator=generator),
        "stem.half": torch.randn(7, generator=generator).half(),
        "bn.num_batches_tracked": torch.tensor(2**40 + 1),
        "bn.bytes": torch.arange(5, dtype=torch.uint8),
        "bn.double": torch.randn(3, dtype=torch.float64, generator=generator),
        "flags": torch.tensor([True, False, True]),
        "empty": torch.empty(0, 4),
        "odd.nan": torch.tensor([torch.nan, -0.0]),
    }


def save(path: Path, dtype: torch.dtype = torch.float32, *, bias: bool = True) -> Head:
    head = make_head(5, 3, bias=bias, dtype=dtype)
    tensors = {**others(), "fc.weight": head.weight}
    if head.bias is not None:
        tensors["fc.bias"] = head.bias
    save_file(tensors, path, metadata={"format": "pt", "class_names": "old"})
    return head


def unseen(*, bias: bool = True, count: int = 3) -> Head:
    return make_head(count, 3, bias=bias, seed=8)


def extend(source: Path, target: Path, rows: Head) -> None:
    checkpoint.write_extended(
        source,
        target,
        layers=[StoredLayer("fc.weight", "fc.bias" if rows.bias is not None else None, 3)],
        unseen=rows,
        class_names=[*NAMES, *(f"new {index}" for index in range(rows.class_count))],
    )


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_head_should_be_read_in_its_stored_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "head.safetensors"
    saved = save(path, dtype)

    head = checkpoint.read_head(path, layers=[FC], class_names=NAMES)

    assert head.weight.dtype == dtype
    assert torch.equal(head.rows, saved.rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_old_rows_and_other_tensors_should_keep_their_bytes(
    tmp_path: Path, dtype: torch.dtype, *, bias: bool, count: int
) -> None:
    source, target = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save(source, dtype, bias=bias)

    extend(source, target, unseen(bias=bias, count=count))

    before, after = load_file(source), load_file(target)
    assert set(after) == set(before)
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype, name
        if name.startswith("fc."):
            assert raw(after[name])[: len(raw(tensor))] == raw(tensor), name
        else:
            assert after[name].shape == tensor.shape, name
            assert raw(after[name]) == raw(tensor), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_file_should_hold_what_inject_returns(tmp_path: Path, dtype: torch.dtype) -> None:
    source, target = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    head, rows = save(source, dtype), unseen()

    extend(source, target, rows)

    expected = inject(head, Head(rows.weight, rows.bias, ("x", "y", "z")))
    written = load_file(target)
    assert torch.equal(written["fc.weight"], expected.weight)
    assert expected.bias is not None
    assert torch.equal(written["fc.bias"], expected.bias)


def test_metadata_should_be_kept_and_get_all_class_names(tmp_path: Path) -> None:
    source, target = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save(source)

    extend(source, target, unseen(count=1))

    with safe_open(target, "pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert json.loads(metadata["class_names"]) == [*NAMES, "new 0"]
    assert metadata["seen_count"] == "5"


def test_a_second_injection_should_count_the_first_ones_classes_as_seen(tmp_path: Path) -> None:
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    third = tmp_path / "3.safetensors"
    save(first)
    extend(first, second, unseen(count=1))
    names = [str(number) for number in range(9)]

    checkpoint.write_extended(second, third, layers=[FC], unseen=unseen(), class_names=names)

    with safe_open(third, "pt") as file:
        assert file.metadata()["seen_count"] == "6"


def test_the_written_file_should_be_extensible_again(tmp_path: Path) -> None:
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    third = tmp_path / "3.safetensors"
    save(first, torch.float16)
    extend(first, second, unseen(count=1))
    names = [str(number) for number in range(9)]

    checkpoint.write_extended(second, third, layers=[FC], unseen=unseen(), class_names=names)

    assert load_file(third)["fc.weight"].shape == (9, 3)


def test_every_tensor_should_stay_aligned_to_its_width(tmp_path: Path) -> None:
    source, target = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save(source, torch.float16)

    extend(source, target, unseen(count=1))

    content = target.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    widths = {"F64": 8, "I64": 8, "F32": 4, "F16": 2, "U8": 1, "BOOL": 1}
    assert length % 8 == 0
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["data_offsets"][0] % widths[entry["dtype"]] == 0, name


def test_a_row_that_overflows_should_be_refused_with_its_class(tmp_path: Path) -> None:
    source = tmp_path / "in.safetensors"
    save(source, torch.float16)
    rows = Head(torch.full((1, 3), 1e5), torch.zeros(1), ("giant",))

    with pytest.raises(InjectionError, match="'giant'"):
        extend(source, tmp_path / "out.safetensors", rows)

    assert not (tmp_path / "out.safetensors").exists()


def test_an_unknown_tensor_should_be_refused_with_those_that_exist(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    save(path)

    with pytest.raises(InjectionError, match=r"no tensor 'head.weight'.*fc.weight") as caught:
        checkpoint.read_head(path, layers=[StoredLayer("head.weight")], class_names=NAMES)

    assert caught.value.pointer == "/head/weight"


def test_a_head_of_integers_should_be_refused_with_the_legal_dtypes(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    save(path)

    with pytest.raises(InjectionError, match="U8; a head has one of F16, BF16, F32, F64"):
        checkpoint.read_head(path, layers=[StoredLayer("bn.bytes")], class_names=NAMES)


def test_a_file_of_another_kind_should_be_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    path.write_bytes(b"PK\x03\x04 not safetensors at all")

    with pytest.raises(InjectionError, match="not a readable safetensors file") as caught:
        checkpoint.read_head(path, layers=[StoredLayer("fc.weight")], class_names=NAMES)

    assert caught.value.code == "invalid_checkpoint"


def test_large_other_tensors_should_not_be_held_in_memory(tmp_path: Path) -> None:
    source, target = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    head = make_head(5, 3)
    save_file({"fc.weight": head.weight, "big": torch.zeros(1 << 24)}, source)
    import tracemalloc

    tracemalloc.start()
    extend(source, target, unseen(bias=False))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert target.stat().st_size > 1 << 26
    assert peak_bytes < 4 * checkpoint.CHUNK_BYTES


@pytest.mark.parametrize("dtype", checkpoint.NAMES, ids=checkpoint.NAMES.values())
def test_tensors_of_every_dtype_should_be_written_as_they_are(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    old = {"odd": torch.ones(3, dtype=torch.uint8), "it": torch.tensor([[0, 1, 3]]).to(dtype)}
    checkpoint.write_tensors(tmp_path / "out.safetensors", old, bytes_max=1000)
    new = load_file(tmp_path / "out.safetensors")
    assert new["it"].dtype == dtype
    assert new["it"].view(torch.uint8).tolist() == old["it"].view(torch.uint8).tolist()
    assert torch.equal(new["odd"], old["odd"])


@pytest.mark.parametrize(
    ("name", "dtype", "complaint"),
    [
        ("it", torch.complex128, "of dtype torch.complex128; legal dtypes are F16, "),
        ("__metadata__", torch.float32, "'__metadata__' is one with a reserved name"),
        ("it", torch.float64, "take 24 bytes when written out; 20 is the limit"),
    ],
)
def test_tensors_that_do_not_fit_should_be_refused_before_a_byte_is_written(
    tmp_path: Path, name: str, dtype: torch.dtype, complaint: str
) -> None:
    target = tmp_path / "out.safetensors"
    with pytest.raises(InjectionError, match=complaint):
        checkpoint.write_tensors(target, {name: torch.ones(3, dtype=dtype)}, bytes_max=20)
    assert not target.exists()


def test_written_metadata_should_be_read_again_in_the_same_order_always(tmp_path: Path) -> None:
    told = {name: f"{name} told" for name in "qwertyuiop"}
    paths = [tmp_path / "one.safetensors", tmp_path / "other.safetensors"]

    for path in paths:
        checkpoint.write_tensors(path, {"it": torch.ones(3)}, told)

    with safe_open(paths[0], framework="pt") as file:
        assert file.metadata() == told
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("bias", [True, False])
def test_replaced_rows_should_stand_where_the_old_ones_stood(tmp_path: Path, *, bias: bool) -> None:
    source, target = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    saved = save(source, bias=bias)
    replaced = saved.with_rows(saved.rows + 1, saved.class_names)

    checkpoint.write_extended(
        source,
        target,
        layers=[StoredLayer("fc.weight", "fc.bias" if bias else None, 3)],
        unseen=unseen(bias=bias, count=3),
        class_names=[*NAMES, "a", "b", "c"],
        replaced=replaced,
    )

    before, after = load_file(source), load_file(target)
    assert torch.equal(after["fc.weight"][:5], before["fc.weight"] + 1)
    assert after["fc.weight"].shape[0] == 8
    for name in before.keys() - {"fc.weight", "fc.bias"}:
        assert raw(after[name]) == raw(before[name]), name
