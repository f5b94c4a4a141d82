"""What the demo prints, made for 100 columns."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from headgraft.service.demo.figures import (
    ENCODER,
    METHOD,
    TOP,
    DemoOutcome,
    Guess,
    Sight,
    nearest_rows,
    old_rows_unchanged,
    sights,
)

NEW = "bold green"


def show(console: Console, outcome: DemoOutcome) -> None:
    """Print pictures, rows, seconds and files."""
    seen = sights(outcome)
    console.print(introduction(outcome), highlight=False)
    console.print(pictures_table(seen, outcome.unseen))
    console.print(figures_table(outcome, seen))
    console.print(seconds_lines(outcome), highlight=False, markup=False)
    console.print(files_lines(outcome), highlight=False, markup=False, soft_wrap=True)


def introduction(outcome: DemoOutcome) -> str:
    """Say what was done."""
    hidden, total = len(outcome.unseen), len(outcome.full.class_names)
    return (
        f"From EfficientNet-Lite0's ImageNet head {hidden} of {total} classes were taken out and "
        "injected again\nfrom text alone. The pictures come from scikit-image and scikit-learn; "
        f"[{NEW}]*green[/{NEW}] is a new class."
    )


def pictures_table(seen: list[Sight], unseen: tuple[str, ...]) -> Table:
    """Lay out each picture's top five, in per cent, before and after."""
    table = Table(expand=True, pad_edge=False, show_lines=True)
    table.add_column("picture, and what\nthe full head sees", ratio=22)
    table.add_column(f"top {TOP} without the\nhidden classes, %", ratio=30)
    table.add_column(f"top {TOP} with the injected\n(described) classes, %", ratio=34)
    table.add_column("its place:\nname, descr.", ratio=14, justify="right")
    for sight in seen:
        table.add_row(
            Text.assemble(f"{sight.picture}\n", _label(sight.shows, is_new=sight.is_new)),
            _guesses(sight.before, ()),
            _guesses(sight.after, unseen),
            f"{sight.place_by_name}, {sight.place_described}",
        )
    return table


def figures_table(outcome: DemoOutcome, seen: list[Sight]) -> Table:
    """Set bare names beside descriptions, over all that was measured."""
    new, old = [s for s in seen if s.is_new], [s for s in seen if not s.is_new]
    count = len(outcome.unseen)
    heads = (outcome.by_name, outcome.described)
    table = Table(expand=True, pad_edge=False, box=None)
    table.add_column("")
    for title in ("bare name", "described", "chance"):
        table.add_column(title, justify="right")
    table.add_row(
        f"injected rows nearest to their own true row, of {count}",
        *(str(nearest_rows(head, outcome.full, outcome.unseen)) for head in heads),
        "1",
    )
    chance = TOP / len(outcome.full.class_names) * len(new)
    table.add_row(
        f"pictures of new classes with theirs in the top {TOP}, of {len(new)}",
        str(sum(s.place_by_name <= TOP for s in new)),
        str(sum(s.place_described <= TOP for s in new)),
        f"{chance:.2f}",
    )
    table.add_row(
        f"pictures of old classes that keep theirs first, of {len(old)}",
        str(sum(s.place_by_name == 1 for s in old)),
        str(sum(s.place_described == 1 for s in old)),
        "",
    )
    unchanged = ("yes" if old_rows_unchanged(head, outcome.seen) else "NO" for head in heads)
    table.add_row("the old rows are the same, bit for bit", *unchanged, "")
    return table


def seconds_lines(outcome: DemoOutcome) -> str:
    """List the seconds of every stage, a line for each part."""
    lines = [
        f"  {part:<10} " + ", ".join(f"{stage} {value:.1f}" for stage, value in stages.items())
        for part, stages in outcome.seconds.items()
    ]
    return "\n".join(["", "seconds", *lines])


def files_lines(outcome: DemoOutcome) -> str:
    """Say what made the rows, where the heads are, and how to load one."""
    path = outcome.folder / "described.safetensors"
    return (
        f"\n{METHOD}, calibrated on hidden seen classes; encoder {ENCODER}. "
        f"The heads are in {outcome.folder}; to load one:\n"
        "  from safetensors.torch import load_file\n"
        f"  network.load_state_dict(load_file({str(path)!r}), strict=False)"
    )


def _guesses(guesses: list[Guess], unseen: tuple[str, ...]) -> Text:
    labels = [
        Text.assemble(_label(guess.name, is_new=guess.name in unseen), f" {_percent(guess)}")
        for guess in guesses
    ]
    return Text(", ").join(labels)


def _label(name: str, *, is_new: bool) -> tuple[str, str]:
    return (f"*{name}", NEW) if is_new else (name, "")


def _percent(guess: Guess) -> str:
    return f"{100 * guess.probability:.0f}"
