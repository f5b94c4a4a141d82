"""The catalogue: what is installed."""

from pathlib import Path

import pytest

from headgraft.models import catalogue
from headgraft.models.errors import InjectionError
from headgraft.models.methods import ridge


def test_every_module_in_the_methods_folder_should_be_a_method() -> None:
    folder = Path(ridge.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    files |= {path.parent.name for path in folder.glob("*/method.py")}

    assert set(catalogue.names()) == files


def test_a_method_should_be_found_by_its_file_name() -> None:
    assert catalogue.method("ridge").settings is ridge.RidgeSettings


def test_a_choice_among_methods_should_leave_out_those_that_say_so() -> None:
    tried = {method.name for method in catalogue.candidates()}
    assert {"ridge", "icis", "clip_text"} <= tried
    baselines = {"conse", "costa", "smo", "subspace", "wavg", "wdae"}
    assert baselines.isdisjoint(tried)


def test_a_method_should_say_what_kind_of_head_it_makes() -> None:
    assert catalogue.method("conse").head == "semantic"
    assert {catalogue.method(name).head for name in ("ridge", "smo")} == {"rows"}


@pytest.mark.parametrize("name", ["magic", "", "../ridge", "__init__", "ridge.RidgeSettings"])
def test_an_unknown_method_should_be_refused_with_the_legal_ones(name: str) -> None:
    with pytest.raises(InjectionError, match=", ".join(catalogue.names())) as caught:
        catalogue.method(name)

    assert caught.value.pointer == "/method"


def test_a_bad_value_should_be_refused_with_a_pointer() -> None:
    with pytest.raises(InjectionError, match=r"'scale' .* cannot be -3") as caught:
        catalogue.method("ridge").parse({"scale": -3})

    assert (caught.value.code, caught.value.pointer) == ("invalid_settings", "/settings/scale")


def test_a_huge_value_should_not_be_echoed_whole() -> None:
    with pytest.raises(InjectionError) as caught:
        catalogue.method("icis").parse({"loss": "x" * 10_000})

    assert len(str(caught.value)) < 400
    assert "'cosine' or 'mse'" in str(caught.value)


def test_no_settings_should_be_the_defaults() -> None:
    assert catalogue.method("ridge").parse({}).settings == ridge.RidgeSettings()
