"""`report` and `tracking`: what is compared, and where it is recorded."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from snn2ann.parameters.section import Number, Section, TimeSteps, refused


class Rows(Section):
    """Which rows of the tables are one side of the claims."""

    method: str = Field(description="name of a method")
    variant: str | None = Field(None, description="a variant of the method")
    mapping_unit: str | None = Field(None, description="a spiking mapping unit")
    ata: Literal["none", "training", "calibration", "training+calibration"] | None = Field(
        None, description="where thresholds are adjusted"
    )
    training_time_steps: TimeSteps = Field(description="T in training")
    setting: str | None = Field(
        None,
        description="options that the rows have changed, as tables show them: `loss=tet, tau=2`; else none where it can be",
    )


class Report(Section):
    """Which rows the claims compare."""

    headline: Rows | None = Field(description="a map that names the rows of the paper's method, or null for none")
    reference: Rows | None = Field(
        description="a map that names the rows of spike-based backpropagation, or null for none"
    )
    beside: Rows | None = Field(
        None, description="a map that names rows to judge beside the headline, or null for none"
    )
    accuracy_margin: Annotated[float, Number(least=0, most=100)] = Field(
        description="largest difference in accuracy that is called comparable, in percentage points"
    )


# Of MLflow's own stores; databases may name a driver after a +.
STORES = ("http", "https", "file", "sqlite", "postgresql", "mysql", "mssql", "databricks", "databricks-uc", "uc")


class Tracking(Section):
    """Where MLflow keeps its records."""

    store: str | None = Field(description="a URI of an MLflow store, or null for a SQLite file in the project")
    live: bool = Field(description="whether curves are shown while they grow")
    models: Literal["none", "headline", "all"] = Field(description="whose networks are recorded as well")

    @field_validator("store")
    @classmethod
    def _known(cls, store: str | None) -> str | None:
        scheme, parted, _ = (store or "").partition("://")
        if store is not None and (not store.strip() or (parted and scheme.partition("+")[0] not in STORES)):
            raise refused((), store, f"a URI of an MLflow store, which begins with {'://, '.join(STORES)}://; or null")
        return store
