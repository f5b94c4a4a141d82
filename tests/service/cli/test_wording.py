"""What the service refuses, as the command line says it: by options and lines of files."""

from headgraft import HeadgraftError
from headgraft.service.cli.wording import as_typed
from headgraft.workers.names.files import parse_names

NAMES = parse_names(b"cat\n\ndog\n")


def said(pointer: str, detail: str) -> str:
    errors = [{"pointer": pointer, "detail": detail}]
    return as_typed(HeadgraftError(422, "invalid_request", detail, errors), NAMES, NAMES)


def test_a_pointer_should_become_an_option_or_a_line() -> None:
    assert said("/class_names/1/name", "x") == "--names, line 3: x"
    assert said("/method", "x") == "--method: x"
    assert said("/settings/epochs", "x") == "--setting epochs: x"
    assert said("/calibration/seen_loss_points", "x") == "--max-seen-loss: x"
    assert said("/head/scale", "x") == "--scale: x"
    assert said("", "x") == "x"
    assert said("/something_new", "x") == "x"


def test_fields_in_a_sentence_should_become_options() -> None:
    assert said("", "name one as head.weight") == "name one as --head-weight"
    assert said("/class_names", "give class_names, in row order") == (
        "--names: give --names, in row order"
    )
