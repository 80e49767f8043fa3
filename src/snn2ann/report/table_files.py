"""One table in four files: numbers for machines, and text for editors, for LaTeX and for a browser."""

from pathlib import Path

from snn2ann.files import write_text
from snn2ann.report.page import page
from snn2ann.report.table import Table, latex, markdown


def write_table(table: Table, stem: Path) -> None:
    """Write `<stem>.csv`, `<stem>.md`, `<stem>.tex` and `<stem>.html`; equal tables give equal bytes."""
    write_text(stem.with_suffix(".csv"), table.frame.to_csv(index=False, lineterminator="\n"))
    write_text(stem.with_suffix(".md"), markdown(table))
    write_text(stem.with_suffix(".tex"), latex(table))
    write_text(stem.with_suffix(".html"), page(table))
