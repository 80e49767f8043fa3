from pathlib import Path

import pytest

from snn2ann.report.results import collect_results

from .synthetic import DUMMY, METHODS, write_study


@pytest.fixture(scope="module")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One network, two seeds, a method of every kind and one that the report has never heard of; collected."""
    kinds = {("snn2ann", True, "resu"), ("snn2ann", False, "stsu")}
    methods = [m for m in METHODS if m.name != "snn2ann" or (m.name, m.ata, m.mapping_unit) in kinds]
    study = write_study(tmp_path_factory.mktemp("small"), [*methods, DUMMY], ("vgg-small",), (0, 1))
    collect_results(study)
    return study
