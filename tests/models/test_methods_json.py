"""service/methods.json, which is made from the methods."""

import json
import subprocess
import sys
from pathlib import Path

from headgraft.models import methods_json

METHODS_JSON = Path(__file__).parents[2] / "service" / "methods.json"


def test_methods_json_should_be_fresh() -> None:
    assert METHODS_JSON.read_text(encoding="utf-8") == methods_json.as_json(), (
        "run: python -m headgraft.models.methods_json --write service/methods.json"
    )


def test_the_command_should_write_the_same_text(tmp_path: Path) -> None:
    target = tmp_path / "methods.json"

    subprocess.run(
        [sys.executable, "-m", "headgraft.models.methods_json", "--write", str(target)],
        check=True,
        cwd=METHODS_JSON.parents[1],
    )

    assert json.loads(target.read_text()) == methods_json.describe()


def test_the_choice_among_methods_should_be_described_as_a_method_that_makes_rows() -> None:
    described = methods_json.describe()

    assert (described["auto"]["head"], described["auto"]["needs"]) == ("rows", [])
    assert set(described["auto"]) == set(described["ridge"])
