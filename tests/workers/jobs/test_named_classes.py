"""Names that a file holds itself, and new classes that are there already."""

import json

import pytest

from headgraft.models.errors import InjectionError
from headgraft.workers.jobs import named_classes
from headgraft.workers.jobs.request import ClassEntry, NameEmbeddings
from headgraft.workers.jobs.spec import JobSpec, StoredHead, names
from headgraft.workers.names.class_list import NamesError

CLASSES = [ClassEntry(name="cat"), ClassEntry(name="dog", description="it barks")]


def spec(add: list[str], **fields: object) -> JobSpec:
    head = StoredHead(
        path="p", sha256="", bytes=1, format="torch", tensors=None, metric="linear", scale=1.0,
        class_names=[],
    )  # fmt: skip
    about = {"add": add, "class_embeddings": {"kind": "names"}, "method": "auto", "settings": {}}
    return JobSpec.model_validate({"head": head, "timeout_seconds": 1, **about, **fields})


@pytest.mark.parametrize(
    "held",
    [
        {"class_names": json.dumps(["cat", {"name": "dog", "description": "it barks"}])},
        {"epoch": 3, "meta": {"CLASSES": ("cat", "dog")}, "state_dict": {}},
        {"class_to_idx": {"dog": 1, "cat": 0}},
        {"names": "{0: 'cat', 1: 'dog'}"},
    ],
)
def test_a_file_should_name_its_classes(held: dict[str, object]) -> None:
    found = named_classes.named_classes(held)
    assert found
    assert names(found) == ("cat", "dog")
    told = named_classes.metadata_of_names(held)
    assert named_classes.named_classes(told) == found
    assert named_classes.classes_of_file(told, spec(["okapi"])) == found


def test_a_file_without_names_should_say_so() -> None:
    assert named_classes.named_classes({"format": "pt", "classes": "20"}) is None
    assert named_classes.metadata_of_names([1]) == {}
    assert named_classes.metadata_of_names({"classes": ["a", "b"], "names": ["b", "a"]}) == {}
    with pytest.raises(NamesError, match="at least 2 class names"):
        named_classes.named_classes({"class_names": "not JSON"})
    with pytest.raises(InjectionError, match="names no classes: give class_names"):
        named_classes.classes_of_file({}, spec(["okapi"]))


def test_a_file_whose_names_do_not_fit_the_job_should_be_refused() -> None:
    told = named_classes.metadata_of_names({"classes": ["cat", "dog"]})
    with pytest.raises(InjectionError, match="'Cats' is the class 'cat' in another spelling"):
        named_classes.classes_of_file(told, spec(["Cats"]))
    assert named_classes.classes_of_file(told, spec(["Cats"], allow_twins=True))
    vectors = {"kind": "embeddings", "seen": [[1.0]], "unseen": [[1.0]]}
    with pytest.raises(InjectionError, match="1 vectors for the 2 classes"):
        named_classes.classes_of_file(told, spec(["x"], class_embeddings=vectors))


def test_a_new_class_should_be_named_where_it_is_there_already() -> None:
    def problems(add: list[str], *, allow_twins: bool = False) -> list[tuple[int, str]]:
        entries = [ClassEntry(name=name) for name in add]
        return list(named_classes.twin_problems(CLASSES, entries, allow_twins=allow_twins))

    assert problems(["okapi", "dog"]) == [(1, "the head already has a class 'dog'")]
    assert problems(["okapi", "okapi"]) == [(1, "class 'okapi' is already number 0 of the list")]
    assert [index for index, _ in problems(["puma", "DOGS"])] == [1]
    assert problems(["DOGS"], allow_twins=True) == []
    assert problems(["dog"], allow_twins=True)


def test_a_description_should_say_what_a_name_does_not() -> None:
    bare, told = ClassEntry(name="LABEL_0"), ClassEntry(name="LABEL_1", description="a cat")
    assert named_classes.meaning_warnings(NameEmbeddings(), [told], [told]) == []
    [warning] = named_classes.meaning_warnings(NameEmbeddings(), [bare, told], [told])
    assert "1 of the 1 class names says nothing, such as 'LABEL_0'" in warning
