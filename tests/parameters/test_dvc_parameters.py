"""DVC is told of every section of params.yaml: what it is not told of can change while it says that all is up to date."""

from pathlib import Path

import yaml

from snn2ann.parameters.report import Tracking
from snn2ann.parameters.whole import Parameters

ROOT = Path(__file__).parents[2]
# Where a study is recorded, and whether curves are shown meanwhile, changes nothing that DVC keeps.
OF_NO_OUTPUT = {"tracking.store", "tracking.live"}


def test_every_section_is_a_parameter_of_a_stage() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    told = {name for stage in stages.values() for name in stage["params"]}
    sections = set(Parameters.model_fields) - {"tracking"}
    sections |= {f"tracking.{name}" for name in Tracking.model_fields} - OF_NO_OUTPUT
    assert told == sections
