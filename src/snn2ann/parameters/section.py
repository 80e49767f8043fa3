"""What the sections of params.yaml are made of: a base class, and the kinds of values with their ranges."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Section(BaseModel):
    """A map of params.yaml: no other keys, no value that only resembles one of the right kind."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True)

    def as_given(self) -> dict[str, Any]:
        """What was written, without defaults: what runs are named by."""
        return self.model_dump(exclude_unset=True, by_alias=True)


def refused(key: tuple[str | int, ...] | str, value: Any, expected: str) -> PydanticCustomError:
    """An error for a validator of a whole section to raise: `value` at `key` within it is not what was `expected`."""
    path = (key,) if isinstance(key, str) else key
    return PydanticCustomError("refused", "{expected}", {"path": path, "value": value, "expected": expected})


@dataclass(frozen=True)
class Number:
    """In an `Annotated[float, ...]`: a finite number in a range, where a whole number stays one."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def check(self, value: Any) -> int | float:
        """Give the value back if it is such a number."""
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        fits = fits and (self.least is None or value >= self.least) and (self.above is None or value > self.above)
        if not (fits and (self.most is None or value <= self.most) and (self.below is None or value < self.below)):
            raise PydanticCustomError("number", "not such a number")
        number: int | float = value
        return number

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        names = {"minimum": self.least, "exclusiveMinimum": self.above}
        names |= {"maximum": self.most, "exclusiveMaximum": self.below}
        return {"type": "number"} | {name: value for name, value in names.items() if value is not None}


@dataclass(frozen=True)
class Different:
    """In an `Annotated[list[...], ...]`: at least one value, and none twice."""

    def check(self, values: list[Any]) -> list[Any]:
        """Give the values back if they are different ones."""
        if not values or len({str(value) for value in values}) < len(values):
            raise PydanticCustomError("different", "empty, or a value stands twice")
        return values

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(core) | {"minItems": 1, "uniqueItems": True}


NAME = "^[a-z0-9]+(-[a-z0-9]+)*$"
Name = Annotated[
    str, Field(pattern=NAME, description="a name of lower-case letters and digits, parts joined by hyphens")
]
# More steps, images, channels or passes than these no machine gets through.
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountFromZero = Annotated[int, Field(ge=0, le=1_000_000)]
TimeSteps = Annotated[int, Field(ge=1, le=4096)]
Images = Annotated[int, Field(ge=1, le=1_000_000_000)]
BatchSize = Annotated[int, Field(ge=1, le=1_048_576)]
Width = Annotated[int, Field(ge=1, le=65_536)]
# Draws are seeded by a million times this and the epoch, for which PyTorch has 64 bits.
Seed = Annotated[int, Field(ge=0, le=2**44 - 1)]
Seeds = Annotated[list[Seed], Different()]
Fraction = Annotated[float, Number(least=0, most=1)]
Probability = Annotated[float, Number(least=0, below=1)]
Positive = Annotated[float, Number(above=0, most=1_000_000)]
NotNegative = Annotated[float, Number(least=0, most=1_000_000)]
Texts = Annotated[list[str], Different()]


def how_many(value: Any) -> str:
    """Tell a value from a list of values, for a discriminator."""
    return "several" if isinstance(value, list) else "one"


OneOrMoreTexts = Annotated[Annotated[str, Tag("one")] | Annotated[Texts, Tag("several")], Discriminator(how_many)]
OneOrMoreTimeSteps = Annotated[
    Annotated[TimeSteps, Tag("one")] | Annotated[list[TimeSteps], Different(), Tag("several")],
    Discriminator(how_many),
]
OneOrBoth = Annotated[
    Annotated[bool, Tag("one")] | Annotated[list[bool], Different(), Tag("several")], Discriminator(how_many)
]
