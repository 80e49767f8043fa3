"""Options: what is allowed, and what is said of the rest."""

from typing import Any

import pytest

from snn2ann.errors import UserError
from snn2ann.options import RELEASED, VARIANTS, CouplingOptions


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("reset", "soft", "zero or subtract"),
        ("mapping_unit", 1, "resu or stsu"),
        ("threshold_start", "normal", "uniform or a number from 0 to 100,000"),
        ("threshold_start", -0.5, "uniform or a number from 0 to 100,000"),
        ("membrane_dropout", 1, "a number from 0 up to, not including, 1"),
        ("ata", "yes", "true or false"),
        ("ata_rate", 1.5, "a number from 0 to 1"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError) as error:
        RELEASED.with_options({name: value})
    assert name in str(error.value) and repr(value) in str(error.value) and expected in str(error.value)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(UserError, match=r"option resets: unknown; the options are .*reset"):
        RELEASED.with_options({"resets": "zero"})


def test_the_released_variant_is_the_default() -> None:
    assert VARIANTS["released"] == CouplingOptions()
    assert RELEASED.with_options({"threshold_start": 1}).threshold_start == 1
