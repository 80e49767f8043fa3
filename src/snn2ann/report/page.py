"""A table as an HTML page of its own, which the report embeds: no script, no other file, any width of screen."""

from collections.abc import Iterator
from html import escape

from snn2ann.report.table import Table

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 1.2rem; }
p, li { max-width: 48rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; border-bottom: 2px solid #1a1a1a; }
th { border-top: 2px solid #1a1a1a; border-bottom: 1px solid #1a1a1a; vertical-align: bottom; }
th, td { padding: 0.25rem 0.6rem; text-align: left; vertical-align: top; }
td { font-variant-numeric: tabular-nums; }
td.p { min-width: 18rem; overflow-wrap: anywhere; }
th.r, td.r { text-align: right; }
td.r { white-space: nowrap; }
tr.apart td { border-top: 1px solid #bbb; }
"""


def page(table: Table) -> str:
    """The table with its title, caption and notes as a whole HTML document."""
    notes = "".join(f"<li>{escape(note)}</li>\n" for note in table.notes)
    rows = "".join(_rows(table)) or '<tr><td class="p">No rows: nothing of this has been measured.</td></tr>\n'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(table.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(table.title)}</h1>\n<p>{escape(table.caption)}</p>\n"
        f'<div class="wide"><table>\n<thead><tr>{_header(table)}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n'
        f"<ul>\n{notes}</ul>\n</body>\n</html>\n"
    )


def _header(table: Table) -> str:
    return "".join(f'<th class="{column.kind}">{escape(column.header)}</th>' for column in table.shown_columns())


def _rows(table: Table) -> Iterator[str]:
    """The rows; one whose group differs from that of the row before is set apart by a line."""
    kinds = [column.kind for column in table.shown_columns()]
    before: object = None
    for number, (row, cells) in enumerate(zip(table.frame.to_dict("records"), table.cells(), strict=True)):
        group = table.group(row)
        apart = ' class="apart"' if number and group != before else ""
        before = group
        text = "".join(f'<td class="{kind}">{escape(cell)}</td>' for kind, cell in zip(kinds, cells, strict=True))
        yield f"<tr{apart}>{text}</tr>\n"
