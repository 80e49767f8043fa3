"""The application, how it ends, and what its exit statuses mean."""

import sys
import traceback
from typing import NoReturn

import typer

from snn2ann.cli.processes import await_the_first
from snn2ann.errors import UserError
from snn2ann.files import CURES

NO = 1
"""The command ran, and its answer is no: other bytes, or a job that failed."""
WRONG_INPUT = 2
"""A word of the command line, a parameter or a file is wrong; one message says which."""
FAULT = 3
"""A fault of this program, with a traceback."""
STATUSES = (
    "Exit status: 0 done, or yes; 1 done, and the answer is no (other bytes, a job that failed); "
    "2 a wrong command line, parameter or file, which one message names; 3 a fault of this program; "
    "130 stopped by Ctrl-C (run: 1)."
)

app = typer.Typer(
    help="SNN2ANN, reproduced: train, calibrate and evaluate spiking networks, and report on them.",
    epilog=STATUSES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; a user's mistake, or a file that can't be written, is one message."""
    try:
        app()
    except UserError as error:
        await_the_first()
        _end(str(error))
    except OSError as error:
        if error.errno not in CURES:
            _fault()
        _end(f"{error.filename or 'output'}: {error.strerror}; {CURES[error.errno]}")
    except Exception:
        _fault()


def _end(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(WRONG_INPUT)


def _fault() -> NoReturn:
    traceback.print_exc()
    sys.exit(FAULT)
