"""The tables of a study, one file each; adding one means its file and a line here."""

from pathlib import Path

from snn2ann.errors import UserError
from snn2ann.report.registry import Entry

TABLES = {
    name: Entry(f"snn2ann.report.tables.{name}:{name}", section)
    for name, section in (
        ("classification", "Classification"),
        ("training_efficiency", "Training efficiency"),
        ("inference_efficiency", "Inference efficiency"),
        ("ablation", "Ablation"),
        ("provenance", "Provenance"),
        ("claims", "Verdicts"),
    )
}


def make_table(name: str, study_folder: Path) -> None:
    """Write `tables/<name>.csv`, `.md`, `.tex` and `.html` in a study's folder.

    Raises:
        UserError: no such table; study.json or results.csv can't be read; or, after the table has been made from the
            rest, files of some runs are wrong.
    """
    from snn2ann.report.study_data import load_study
    from snn2ann.report.table_files import write_table

    if name not in TABLES:
        raise UserError(f"no table is called {name}; there are {', '.join(TABLES)}")
    study = load_study(study_folder)
    write_table(TABLES[name].load()(study), study_folder / "tables" / name)
    study.finish(f"table {name}")
