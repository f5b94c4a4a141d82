"""Prompts: the texts an encoder reads."""

import pytest

from headgraft.models.embeddings.templates import DEFAULT_TEMPLATES, class_texts, fill
from headgraft.models.errors import InjectionError


def test_a_description_should_follow_the_name() -> None:
    texts = class_texts(["tabby", "lynx"], ["a grey cat", None])

    assert texts == ["tabby: a grey cat", "lynx"]


def test_templates_should_be_filled_one_after_the_other() -> None:
    assert fill(["a {}.", "{}"], ["cat", "ox"]) == ["a cat.", "a ox.", "cat", "ox"]


def test_braces_in_a_name_should_be_left_alone() -> None:
    assert fill(["a {}."], ["{0} {}"]) == ["a {0} {}."]


@pytest.mark.parametrize("template", ["a photo", "{} and {}", "{name}", "{{}}", "{} {"])
def test_a_template_without_exactly_one_place_should_be_refused(template: str) -> None:
    with pytest.raises(InjectionError, match="exactly one") as caught:
        fill(["{}", template], ["cat"])

    assert caught.value.pointer == "/class_embeddings/templates/1"


def test_no_template_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="at least one"):
        fill([], ["cat"])


def test_a_blank_name_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="number 1"):
        class_texts(["cat", "  "], [None, None])


@pytest.mark.parametrize("kind", DEFAULT_TEMPLATES)
def test_default_templates_should_be_legal(kind: str) -> None:
    assert all("cat" in text for text in fill(DEFAULT_TEMPLATES[kind], ["cat"]))
