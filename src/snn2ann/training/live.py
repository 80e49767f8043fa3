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

from snn2ann.files import write_csv, write_json, write_text
from snn2ann.runs.columns import HISTORY, LAYERS
from snn2ann.runs.folder import RunFolder


class LiveFiles:
    """Writes curves line by line, in a folder that is there until training is over.

    A full disk stops the files, with one warning, not training.

    Args:
        run: its folder; the files of a finished run are written apart from these, whole.
        spec: the run's specification.
        works: False for none, as of all processes of a training but the first.
    """

    def __init__(self, run: RunFolder, spec: Mapping[str, Any], *, works: bool = True) -> None:
        self.run = run.live
        self.spec = spec
        self.written: dict[str, int] = {}
        self.works = works

    def update(self, history: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows that are new; the first call replaces what an interrupted training left."""
        if not self.works:
            return
        try:
            begins = not self.written
            self._add(self.run.history, HISTORY, history)
            self._add(self.run.layers, LAYERS, layers)
            if begins:
                write_json(self.run.process, {"host": socket.gethostname()})
                # Last: who looks on takes the folder for a run when this is there.
                write_text(self.run.spec, yaml.safe_dump(dict(self.spec), sort_keys=True))
        except OSError as error:
            self.works = False
            print(f"warning: {self.run.path}: {error.strerror}; curves are not shown live", file=sys.stderr, flush=True)

    def _add(self, path: Path, header: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        if path.name not in self.written:
            write_csv(path, header, rows)
        else:
            text = io.StringIO()
            csv.DictWriter(text, header, lineterminator="\n").writerows(rows[self.written[path.name] :])
            with path.open("a", encoding="utf-8") as file:
                file.write(text.getvalue())
        self.written[path.name] = len(rows)

    def remove(self) -> None:
        """Remove the files: those of the finished run hold all of it."""
        shutil.rmtree(self.run.path, ignore_errors=True)
