"""Turns classes into the texts that an encoder reads."""

from collections.abc import Sequence

from headgraft.models.errors import InjectionError

# A sentence encoder compares meanings: a frame around the name only makes all classes alike.
# A picture-text encoder was trained on captions, so a caption is what it should read.
DEFAULT_TEMPLATES = {
    "sentence-transformers": ("{}",),
    "open_clip": (
        "a photo of a {}.",
        "a close view of a {}.",
        "a {} among other things.",
        "a picture that shows a {}.",
    ),
}


def class_texts(names: Sequence[str], descriptions: Sequence[str | None]) -> list[str]:
    """Return each class's text: its name, or "name: description" where it has one.

    InjectionError for a name that is blank.
    """
    for index, name in enumerate(names):
        if not name.strip():
            raise InjectionError(
                f"class number {index} has the blank name {name!r}", pointer="/class_names"
            )
    return [
        f"{name}: {description}" if description else name
        for name, description in zip(names, descriptions, strict=True)
    ]


def fill(templates: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Put every text into every template: template by template, in order of the texts.

    InjectionError for a template without exactly one {}, or for no template at all.
    """
    pointer = "/class_embeddings/templates"
    if not templates:
        raise InjectionError("no template: give at least one, each with one {}", pointer=pointer)
    for index, template in enumerate(templates):
        if template.count("{}") != 1 or template.count("{") + template.count("}") != 2:
            raise InjectionError(
                f"template {template!r} must hold exactly one {{}} and no other brace",
                pointer=f"{pointer}/{index}",
            )
    return [template.replace("{}", text) for template in templates for text in texts]
