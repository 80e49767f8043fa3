"""A table or figure as an HTML page of its own, which the report embeds: no script, no other file, any screen."""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape

from snn2ann.report.table import Table

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2.2rem 1.2rem 1.2rem; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 0.6rem; overflow-wrap: anywhere; }
p, li { max-width: 48rem; overflow-wrap: anywhere; }
img { display: block; width: 100%; min-width: 42rem; max-width: 60rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; border-bottom: 2px solid #1a1a1a; }
th { border-top: 2px solid #1a1a1a; border-bottom: 1px solid #1a1a1a; vertical-align: bottom; }
th, td { padding: 0.25rem 0.6rem; text-align: left; vertical-align: top; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.p { min-width: 18rem; overflow-wrap: anywhere; white-space: normal; }
th.r, td.r { text-align: right; }
tr.apart td { border-top: 1px solid #bbb; }
"""


def page(title: str, paragraphs: Sequence[str], content: str, notes: Sequence[str]) -> str:
    """A whole HTML document.

    Args:
        title: in words.
        paragraphs: text above the content.
        content: HTML that may be wider than the screen.
        notes: text below it, an item each.
    """
    above = "".join(f"<p>{_text(each)}</p>\n" for each in paragraphs)
    below = "".join(f"<li>{_text(each)}</li>\n" for each in notes)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n{above}<div class="wide">{content}</div>\n'
        + (f"<ul>\n{below}</ul>\n" if below else "")
        + "</body>\n</html>\n"
    )


def table_html(table: Table) -> str:
    """The rows of a table with their header."""
    rows = "".join(_rows(table)) or '<tr><td class="p">No rows: nothing of this has been measured.</td></tr>\n'
    return f"<table>\n<thead><tr>{_header(table)}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>"


def image_html(png: bytes, words: str) -> str:
    """An image within the page itself; `words` stand for it where it can't be seen."""
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{b64encode(png).decode()}">'


def _text(words: str) -> str:
    """Text with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(words))


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
