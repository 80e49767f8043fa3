"""`studies`: sets of runs that fill the tables."""

from typing import Annotated, Any

from pydantic import Field

from snn2ann.parameters.section import OneOrBoth, OneOrMoreTexts, OneOrMoreTimeSteps, Section, Seeds, Texts


class Entry(Section):
    """A method and the lists whose product are its runs."""

    method: str = Field(description="name of a method")
    variant: OneOrMoreTexts = Field("released", description="a variant of the method, or a list of different ones")
    time_steps: OneOrMoreTimeSteps | None = Field(None, description="T in training, or a list of different ones")
    mapping_unit: OneOrMoreTexts | None = Field(None, description="a spiking mapping unit, or a list of different ones")
    ata: OneOrBoth | None = Field(None, description="adaptive threshold adjustment in training, or [true, false]")
    options: dict[str, Any] = Field({}, description="a map from option to its value, or to a list of different ones")
    calibrate: bool = Field(False, description="whether thresholds are calibrated after training")
    datasets: Texts | None = Field(None, description="some of the study's data sets")
    networks: Texts | None = Field(None, description="some of the study's networks")
    seeds: Seeds | None = Field(None, description="seeds, different integers")
    checkpoint: Annotated[str, Field(pattern="^[0-9a-f]{8}$")] | None = Field(
        None, description="of a method whose weights are a file's: the digits that `snn2ann import-checkpoint` prints"
    )
    recipe: str | None = Field(None, description="name of another recipe")
    run: bool = Field(True, description="whether these runs are made; else the tables show them as not run")


class StudySection(Section):
    """A set of runs that fills the tables."""

    inherit: str | None = Field(None, description="name of another study, whose values hold where none stand here")
    title: Annotated[str, Field(min_length=1)] = Field(description="a title for the report")
    datasets: Texts = Field(description="a list of data sets")
    networks: Texts = Field(description="a list of networks")
    seeds: Seeds = Field(description="a list of different integers")
    recipe: str = Field(description="name of a recipe")
    runs: Annotated[list[Entry], Field(min_length=1)] = Field(
        description="a list of at least one entry, each with a method"
    )
    more_runs: Annotated[list[Entry], Field(min_length=1)] | None = Field(
        None, description="a list of entries after the runs that are inherited"
    )
    dataset_options: dict[str, dict[str, Any]] = Field(
        {}, description="a map from data set to what differs from the datasets section for this study"
    )
    measurement: dict[str, Any] = Field({}, description="what differs from the measurement section for this study")
    report: dict[str, Any] = Field({}, description="what differs from the report section for this study")
