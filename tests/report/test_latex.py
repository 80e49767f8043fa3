import shutil
import subprocess
from pathlib import Path

import pytest

from snn2ann.report.judging import make_claims
from snn2ann.report.table import escape
from snn2ann.report.tables import TABLES, make_table


def pdflatex() -> str:
    """The program, or a skip that says what is missing."""
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-base and texlive-latex-recommended)")
    for package in ("booktabs.sty", "longtable.sty"):
        if not subprocess.run(["kpsewhich", package], capture_output=True).stdout:
            pytest.skip(f"LaTeX's {package} is not installed (Debian: texlive-latex-recommended)")
    return program


def test_characters_that_mean_something_to_latex() -> None:
    assert escape("50 % of a_b & c") == r"50 \% of a\_b \& c"
    assert escape("−1 ± 2") == r"$-$1 $\pm$ 2"


def test_tables_compile_as_they_are(small_study: Path, tmp_path: Path) -> None:
    program = pdflatex()
    for name in TABLES:
        make_table(name, small_study)
    make_claims(small_study)
    for name in TABLES:
        source = small_study / "tables" / f"{name}.tex"
        command = [program, "-interaction=nonstopmode", "-halt-on-error", f"-output-directory={tmp_path}", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-2000:]
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
