"""`report` and `tracking`: what is compared, and where it is recorded."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from snn2ann.parameters.section import Number, Section, TimeSteps, refused


class AnyRows(Section):
    """Rows of the tables."""

    method: str = Field(description="name of a method")
    variant: str | None = Field(None, description="a variant of the method")
    mapping_unit: str | None = Field(None, description="a spiking mapping unit")
    ata: Literal["none", "training", "calibration", "training+calibration"] | None = Field(
        None, description="where thresholds are adjusted"
    )
    setting: str | None = Field(
        None,
        description="options that the rows have changed, as tables show them: `loss=tet, tau=2`; else none where it can be",
    )


class Rows(AnyRows):
    """Which rows of the tables are one side of the claims."""

    training_time_steps: TimeSteps = Field(description="T in training")


class AimedRows(AnyRows):
    """Which rows of the tables an aim is about."""

    training_time_steps: TimeSteps | None = Field(None, description="T in training, of a method that has one")
    time_steps: TimeSteps | None = Field(None, description="T in inference; else that of training")


class Aim(Section):
    """What a study is to show beyond the paper's claims."""

    measure: Literal["accuracy", "spikes", "operations", "noise"] = Field(
        description="accuracy on test images; spikes or synaptic operations an image; or the noisiest layer's rate"
    )
    of: AimedRows = Field(description="a map that names rows")
    beside: AimedRows | None = Field(None, description="a map that names the rows to compare with; of noise none")
    limit: Annotated[float, Number()] = Field(
        description="least difference of accuracy, in percentage points; largest ratio of spikes or operations; largest rate"
    )

    @model_validator(mode="after")
    def _has_sides(self) -> Self:
        if self.beside is not None and self.measure == "noise":
            raise refused("beside", self.beside.as_given(), "none with noise, which is compared with nothing")
        if self.beside is None and self.measure != "noise":
            raise refused((), self.as_given(), "beside as well, a map that names the rows to compare with")
        return self


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
    aims: list[Aim] = Field([], description="a list of what is to be shown beyond the claims")


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
