"""`report` and `tracking`: what is compared, and where it is recorded."""

from typing import Annotated, Literal

from pydantic import Field

from snn2ann.parameters.section import Number, Section, TimeSteps


class Rows(Section):
    """Which rows of the tables are one side of the claims."""

    method: str = Field(description="name of a method")
    variant: str | None = Field(None, description="a variant of the method")
    mapping_unit: str | None = Field(None, description="a spiking mapping unit")
    ata: Literal["none", "training", "calibration", "training+calibration"] | None = Field(
        None, description="where thresholds are adjusted"
    )
    training_time_steps: TimeSteps = Field(description="T in training")


class Report(Section):
    """Which rows the claims compare."""

    headline: Rows | None = Field(description="a map that names the rows of the paper's method, or null for none")
    reference: Rows | None = Field(
        description="a map that names the rows of spike-based backpropagation, or null for none"
    )
    accuracy_margin: Annotated[float, Number(least=0, most=100)] = Field(
        description="largest difference in accuracy that is called comparable, in percentage points"
    )


class Tracking(Section):
    """Where MLflow keeps its records."""

    store: str | None = Field(
        pattern=r"^([a-z][a-z0-9+.-]*:|/|\./|[A-Za-z0-9_.-]+/).*$",
        description="a URI of an MLflow store, or null for a SQLite file in the project",
    )
    live: bool = Field(description="whether curves are shown while they grow")
    models: Literal["none", "headline", "all"] = Field(description="whose networks are recorded as well")
