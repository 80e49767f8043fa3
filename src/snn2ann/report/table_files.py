"""One table in four files: numbers for machines, and text for editors, for LaTeX and for a browser."""

from pathlib import Path

from snn2ann.files import write_text
from snn2ann.report.page import page, table_html
from snn2ann.report.table import Table, latex, markdown


def write_table(table: Table, stem: Path, reading: str, made: str) -> None:
    """Write `<stem>.csv`, `<stem>.md`, `<stem>.tex` and `<stem>.html`; equal tables give equal bytes.

    Args:
        table: what is written.
        stem: path without suffix.
        reading: how to read the table, for the page.
        made: what made it, for the page.
    """
    write_text(stem.with_suffix(".csv"), table.frame.to_csv(index=False, lineterminator="\n"))
    write_text(stem.with_suffix(".md"), markdown(table))
    write_text(stem.with_suffix(".tex"), latex(table))
    shown = page(table.title, [reading, table.caption], table_html(table), [*table.notes, made])
    write_text(stem.with_suffix(".html"), shown)
