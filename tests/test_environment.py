"""Environment variables: declared once, read together, refused by name, listed for people."""

from dataclasses import dataclass

import pytest

from host.environment import (
    help_text,
    matching,
    one_of,
    read_environment,
    rows,
    seconds,
    variable,
    whole_number,
)


@dataclass(frozen=True)
class Oven:
    degrees: int = variable("OVEN_DEGREES", 180, whole_number(50, 250), "temperature")
    bake_s: float = variable("BAKE_S", 60.0, seconds(0.5, 3600), "seconds")
    shape: str = variable("SHAPE", "round", one_of("round", "flat"), "of the loaf")
    name: str = variable("NAME", "bread", matching("[a-z]+", "small letters"), "of the recipe")


def test_what_is_not_set_or_empty_has_its_default_and_other_variables_are_ignored():
    assert Oven() == read_environment(Oven, {"OVEN_DEGREES": "", "PATH": "/bin"}, ValueError)


def test_every_variable_is_read_by_its_rule():
    environment = {"OVEN_DEGREES": "200", "BAKE_S": "1.5", "SHAPE": "flat", "NAME": "rye"}
    assert Oven(200, 1.5, "flat", "rye") == read_environment(Oven, environment, ValueError)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OVEN_DEGREES", "49"), ("OVEN_DEGREES", "251"), ("OVEN_DEGREES", "1.5"), ("OVEN_DEGREES", "٢٠٠"),
        ("OVEN_DEGREES", " 60"), ("BAKE_S", "nan"), ("BAKE_S", "inf"), ("BAKE_S", "0.4"), ("BAKE_S", "soon"),
        ("SHAPE", "roundish"), ("SHAPE", "round|flat"), ("NAME", "Rye"), ("NAME", "rye\n"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_the_variable_the_value_and_what_is_allowed(name, text):
    (allowed,) = (row.allowed for row in rows(Oven) if row.name == name)
    with pytest.raises(KeyError) as refusal:
        read_environment(Oven, {name: text}, KeyError)
    assert (f"{name} is {text!r}: give {allowed}",) == refusal.value.args


def test_the_help_has_a_line_for_each_variable():
    assert ("OVEN_DEGREES", "180", "a whole number from 50 to 250", "temperature") == rows(Oven)[0]
    assert [row.name for row in rows(Oven)] == [line.split()[0] for line in help_text(Oven).splitlines()]
    assert "60" == rows(Oven)[1].default
