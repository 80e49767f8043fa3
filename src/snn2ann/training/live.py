"""The curves of a run while it trains, in files that grow: for whoever looks on, never in the way of training."""

import csv
import io
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from snn2ann.columns import HISTORY, LAYERS
from snn2ann.files import write_csv, write_json, write_text

# In the run's folder until training is over. The files of a finished run are written apart from these, whole.
FOLDER = "live"


class LiveFiles:
    """Writes history.csv and layers.csv line by line; a full disk stops the files, with one warning, not training.

    Args:
        output: the run's folder.
        spec: the run's specification.
    """

    def __init__(self, output: Path, spec: Mapping[str, Any]) -> None:
        self.folder = output / FOLDER
        self.spec = spec
        self.written: dict[str, int] = {}
        self.works = True

    def update(self, history: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows that are new; the first call replaces what an interrupted training left."""
        if not self.works:
            return
        try:
            begins = not self.written
            self._add("history.csv", HISTORY, history)
            self._add("layers.csv", LAYERS, layers)
            if begins:
                write_json(self.folder / "process.json", {"host": socket.gethostname()})
                # Last: who looks on takes the folder for a run when this is there.
                write_text(self.folder / "run.yaml", yaml.safe_dump(dict(self.spec), sort_keys=True))
        except OSError as error:
            self.works = False
            print(f"warning: {self.folder}: {error.strerror}; curves are not shown live", file=sys.stderr, flush=True)

    def _add(self, name: str, header: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        if name not in self.written:
            write_csv(self.folder / name, header, rows)
        else:
            text = io.StringIO()
            csv.DictWriter(text, header, lineterminator="\n").writerows(rows[self.written[name] :])
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(text.getvalue())
        self.written[name] = len(rows)

    def remove(self) -> None:
        """Remove the files: those of the finished run hold all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
