"""Reads class names from the column of a table, CSV or TSV, with a header or without."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headgraft.workers.names.class_list import ClassList, NamedClass, NamesError, class_list
from headgraft.workers.names.numbering import row_order

Rows = Sequence[tuple[int, Sequence[str]]]
NAME_HEADERS = (
    *("name", "names", "class_name", "classname", "label_name", "display_name", "common_name"),
    *("category_name", "class", "label", "labels", "category", "species", "title", "tag", "text"),
)
DESCRIPTION_HEADERS = "description definition descriptions gloss caption".split()  # noqa: SIM905
ROW_HEADERS = "index idx row class_index class_idx class_id label_id id number no target".split()  # noqa: SIM905
NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
IDENTIFIER = re.compile(
    r"[nvars]\d{8}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|/m/\w+", re.ASCII | re.IGNORECASE
)
WAY_OUT = "give the CSV a first line of column names, with name (and description) among them"


@dataclass(frozen=True)
class Column:
    """A column: its header, None where the table has none, and its cells."""

    header: str | None
    number: int
    cells: tuple[str, ...]

    def is_all(self, fits: Callable[[str], object]) -> bool:
        """Tell whether every cell is of a kind."""
        return all(map(fits, self.cells))

    @property
    def says_nothing(self) -> bool:
        """Whether it is empty, or says the same of every class."""
        return self.is_all(lambda cell: not cell) or (
            len(self.cells) > 1 and len(set(self.cells)) == 1
        )

    @property
    def shown(self) -> str:
        return f"column {self.header or self.number}"


def read_table(rows: Rows) -> ClassList:
    """Take the column of names, and that of descriptions, in the order that row numbers say.

    NamesError where two columns could be it, or the rows are not of one length.
    """
    width = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise NamesError(
                f"line {line} of the CSV has {len(cells)} columns, the first one has {width}"
            )
    has_header = _is_header(rows)
    header = [cell.strip().lower() for cell in rows[0][1]] if has_header else [None] * width
    body = rows[has_header:]
    if not body:
        raise NamesError("the CSV has a header and no class below it")
    columns = [
        Column(title, at + 1, tuple(cells[at].strip() for _, cells in body))
        for at, title in enumerate(header)
    ]
    places = [f"line {line}" for line, _ in body]
    name, about = _name_column(columns), _description_column(columns)
    classes = [
        NamedClass(name.cells[at], about.cells[at] if about else None, places[at])
        for at in _order(columns, name, places)
    ]
    return class_list(classes, name.shown)


def _is_header(rows: Rows) -> bool:
    """Tell whether the first line names columns; NamesError where it may be a class or not."""
    first = [cell.strip().lower() for cell in rows[0][1]]
    if any(NUMBER.fullmatch(cell) for cell in first):
        return False
    if any(cell in (*NAME_HEADERS, *DESCRIPTION_HEADERS) for cell in first):
        return True
    for at in range(len(first)):
        if len(rows) > 1 and all(NUMBER.fullmatch(cells[at].strip()) for _, cells in rows[1:]):
            raise NamesError(f"line 1 of the CSV may be a class or a header: {WAY_OUT}")
    return False


def _name_column(columns: Sequence[Column]) -> Column:
    """Return the column of names: by its header, else the only one that can be it."""
    texts = [
        one
        for one in columns
        if not one.is_all(NUMBER.fullmatch) and not one.is_all(IDENTIFIER.fullmatch)
    ]
    for header in NAME_HEADERS[:8]:
        named = [one for one in texts if one.header == header]
        if len(named) == 1:
            return named[0]
    named = [one for one in texts if one.header in NAME_HEADERS]
    about = {one.number for one in columns if one.header in DESCRIPTION_HEADERS}
    telling = [one for one in texts if not one.says_nothing and one.number not in about]
    choice = named or telling or ([] if texts else list(columns[:1]) * (len(columns) == 1))
    if len(choice) != 1:
        shown = ", ".join(one.shown for one in choice or columns)
        several = (
            f"{len(choice)} columns of the CSV could be the names"
            if choice
            else ("no column of the CSV holds names")
        )
        raise NamesError(f"{several} ({shown}): {WAY_OUT}")
    return choice[0]


def _description_column(columns: Sequence[Column]) -> Column | None:
    return next((one for one in columns if one.header in DESCRIPTION_HEADERS), None)


def _order(columns: Sequence[Column], name: Column, places: Sequence[str]) -> Sequence[int]:
    """Return the order of the rows: by the column that counts them, else as they stand."""
    found: dict[str, Sequence[int]] = {}
    for one in columns:
        if one is name or one.header not in (None, "", *ROW_HEADERS):
            continue
        numbers = [int(cell) if NUMBER.fullmatch(cell) else None for cell in one.cells]
        known = [number for number in numbers if number is not None]
        is_rising = len(known) == len(numbers) and known == sorted(set(known))
        if is_rising and known[-1] - known[0] > len(known) - 1:
            continue  # with gaps, such as the ids of a database: the file's order is the rows'
        order = row_order(numbers, places)
        if order is not None:
            found[one.shown] = order
    orders = {tuple(order) for order in found.values()}
    if len(orders) > 1:
        raise NamesError(f"{' and '.join(found)} of the CSV count the rows in different orders")
    return orders.pop() if orders else range(len(name.cells))
