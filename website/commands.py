"""Bring the page of the command line up to date with what its commands say: `python -m website.commands`."""

import inspect
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from snn2ann.cli import app
from snn2ann.report import blocks
from snn2ann.report.parameter_tables import grid

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"

# Only asked for the words of types.
CONTEXT = typer.Context(typer.main.get_command(app))


def reference() -> str:
    """The commands by group, in the order of `snn2ann --help`: what each does, and its arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = [] if not group.epilog else [group.epilog]
    commands = [command for command in group.commands.values() if not command.hidden]
    for panel, members in groupby(commands, key=_panel):
        parts += [f"## {panel}"] if panel else []
        for command in members:
            parts += [
                f"### snn2ann {command.name}",
                _text(command.help),
                _usage(command),
                *_tables(command),
            ]
    return "\n\n".join(parts)


def _panel(command: Any) -> str:
    return command.rich_help_panel if isinstance(command.rich_help_panel, str) else ""


def _text(said: str | None) -> str:
    return inspect.cleandoc(said or "").replace("<", "&lt;").replace("|", r"\|")


def _usage(command: Any) -> str:
    words = [_argument(each) for each in command.params if each.param_type_name == "argument"]
    required = [f"{each.opts[0]} {_value(each)}" for each in command.params if _is_option(each) and each.required]
    optional = ["[OPTIONS]"] if any(_is_option(each) and not each.required for each in command.params) else []
    return "\n".join(["```text", " ".join(["snn2ann", command.name, *words, *required, *optional]), "```"])


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("[].")
    name += "..." if parameter.nargs == -1 else ""
    return name if parameter.required else f"[{name}]"


def _value(parameter: Any) -> str:
    return "" if parameter.is_flag else parameter.metavar or parameter.display_type(CONTEXT).upper()


def _is_option(parameter: Any) -> bool:
    return parameter.param_type_name == "option" and parameter.name != "help"


def _tables(command: Any) -> Iterator[str]:
    rows = []
    for each in command.params:
        if each.param_type_name == "argument" or _is_option(each):
            name = " ".join(filter(None, ["/".join(each.opts), _value(each)])) if _is_option(each) else _argument(each)
            rows.append([f"`{name}`".replace("|", "\\|"), _text(each.help), _default(each)])
    if rows:
        yield grid(["argument or option", "what", "default"], rows)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    nothing = parameter.default is None or parameter.default is False or parameter.default in ("", [], ())
    return "–" if nothing else f"`{parameter.default}`"


def main() -> None:
    """Write the page."""
    blocks.fill(PAGE, {"commands": reference()})


if __name__ == "__main__":
    main()
