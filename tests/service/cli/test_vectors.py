"""Vectors of classes from a file, in each of the formats."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from headgraft.service.cli.parsing import TypedError
from headgraft.service.cli.vectors import embeddings

SEEN, UNSEEN = [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5]]


@pytest.mark.parametrize("suffix", ["json", "npz", "safetensors"])
def test_each_format_should_give_the_same_request(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"vectors.{suffix}"
    arrays = {"seen": np.array(SEEN), "unseen": np.array(UNSEEN)}
    if suffix == "json":
        path.write_text(json.dumps({"seen": SEEN, "unseen": UNSEEN, "note": "mine"}))
    elif suffix == "npz":
        np.savez(path, allow_pickle=False, **arrays)
    else:
        save_file(arrays, path)
    assert embeddings(None, path, None) == {"kind": "embeddings", "seen": SEEN, "unseen": UNSEEN}
    assert embeddings(None, None, path) == {"kind": "attributes", "seen": SEEN, "unseen": UNSEEN}


def test_a_file_that_holds_none_should_be_named(tmp_path: Path) -> None:
    path = tmp_path / "vectors.json"
    for text, reason in (("[1]", "has no 'seen'"), ("{", "cannot be read"),
                         ('{"seen": [1], "unseen": [[1]]}', "'seen' is no table")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(TypedError, match=reason):
            embeddings(None, path, None)
    with pytest.raises(TypedError, match="has the suffix"):
        embeddings(None, tmp_path / "x.mat", None)
    with pytest.raises(TypedError, match="--encoder and --attributes: give one"):
        embeddings("minilm", None, path)


def test_an_encoder_alone_should_read_the_names() -> None:
    assert embeddings("clip", None, None) == {"kind": "names", "encoder": "clip"}
    assert embeddings(None, None, None) is None
