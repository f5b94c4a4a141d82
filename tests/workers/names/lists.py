"""Lists of class names in the formats in which the tools of the field keep them."""

import csv
import io
import json
from collections.abc import Callable, Sequence

Names = Sequence[str]


def _table(rows: list[list[object]], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _by_row(names: Names) -> dict[str, str]:
    return {str(row): name for row, name in enumerate(names)}


def _rows(names: Names) -> dict[str, int]:
    return {name: row for row, name in enumerate(names)}


def _yaml_list(names: Names) -> str:
    lines = "".join(f"  - {json.dumps(name)}\n" for name in names)
    return f"path: data\nnc: {len(names)}\nnames:\n{lines}"


def _yaml_rows(names: Names) -> str:
    return "names:\n" + "".join(f"  {row}: {json.dumps(n)}\n" for row, n in enumerate(names))


def _places(names: Names) -> str:
    return "".join(f"/{name[0]}/{name} {row}\n" for row, name in enumerate(names))


# The suffix of each format, and how names are written in it; of names without repetition, commas
# and colons, at least three.
FORMATS: dict[str, tuple[str, Callable[[Names], str]]] = {
    "lines": (".txt", lambda names: "\n".join(names)),
    "list": (".json", lambda names: json.dumps(list(names))),
    "id2label": (".json", lambda names: json.dumps(_by_row(names), indent=1)),
    "label2id": (".json", lambda names: json.dumps(_rows(names))),
    "config": (
        ".json",
        lambda names: json.dumps({"id2label": _by_row(names), "label2id": _rows(names)}),
    ),
    "keras": (
        ".json",
        lambda names: json.dumps(
            {row: [f"n{int(row):08d}", n] for row, n in _by_row(names).items()}
        ),
    ),
    "entries": (".json", lambda names: json.dumps([{"name": name} for name in names])),
    "python": (".txt", lambda names: str(dict(enumerate(names)))),
    "csv": (".csv", lambda names: _table([[row, name] for row, name in enumerate(names)])),
    "csv with a header": (
        ".csv",
        lambda names: _table([["tag_id", "name"], *([n + 1, x] for n, x in enumerate(names))]),
    ),
    "one column": (".csv", lambda names: _table([[name] for name in ("name", *names)])),
    "tsv": (".tsv", lambda names: _table([[row, n] for row, n in enumerate(names)], "\t")),
    "tabs": (".txt", lambda names: "".join(f"{row}\t{name}\n" for row, name in enumerate(names))),
    "yaml list": (".yaml", _yaml_list),
    "yaml rows": (".yml", _yaml_rows),
    "numbered": (".txt", lambda names: "".join(f"{row} {n}\n" for row, n in enumerate(names))),
    "index: name": (".txt", lambda names: "".join(f"{row}: {n}\n" for row, n in enumerate(names))),
    "numbered from 1": (
        ".txt",
        lambda names: "".join(f"{row:03d}.{name}\n" for row, name in enumerate(names, 1)),
    ),
    "numbered behind": (".txt", _places),
    "synsets": (
        ".txt",
        lambda names: "".join(f"n{row:08d} {name}\n" for row, name in enumerate(names)),
    ),
}
