"""The tables of a study, one file each; adding one means its file and a line here."""

from importlib import import_module
from pathlib import Path

from snn2ann.errors import UserError

TABLES = {
    "classification": "snn2ann.report.tables.classification:classification",
    "training_efficiency": "snn2ann.report.tables.training_efficiency:training_efficiency",
    "inference_efficiency": "snn2ann.report.tables.inference_efficiency:inference_efficiency",
    "ablation": "snn2ann.report.tables.ablation:ablation",
    "provenance": "snn2ann.report.tables.provenance:provenance",
    "claims": "snn2ann.report.tables.claims:claims",
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
    module, function = TABLES[name].split(":")
    table = getattr(import_module(module), function)(study)
    write_table(table, study_folder / "tables" / name)
    study.finish(f"table {name}")
