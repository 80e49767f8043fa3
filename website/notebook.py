"""Run a notebook and keep what it shows: `python -m website.notebook`."""

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "first-network.ipynb"


def executed(notebook: Path) -> nbformat.NotebookNode:
    """Run all cells in a kernel of their own and give the notebook with what they show, free of times and machine.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell that fails.
    """
    content = nbformat.read(notebook, as_version=4)
    NotebookClient(content, timeout=300, kernel_name="python3", record_timing=False).execute()
    content.metadata["language_info"] = {"name": "python"}
    for cell in content.cells:
        # Warnings and progress are a machine's and a version's.
        if cell.cell_type == "code":
            cell.outputs = [shown for shown in cell.outputs if shown.get("name") != "stderr"]
    return content


def main() -> None:
    """Write the outputs into the notebook."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path, nargs="?", default=NOTEBOOK)
    path = parser.parse_args().notebook
    nbformat.write(executed(path), path)


if __name__ == "__main__":
    main()
