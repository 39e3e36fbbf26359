"""The field types that are stricter than DRF's own (contract section 1; rows 95, 101 and 102)."""

import pytest
from rest_framework import serializers

from movieshelf.api.fields import (
    DigitsField,
    ISODateField,
    StringField,
    TextField,
    WholeNumberField,
)
from movieshelf.api.serializers import CamelCaseSerializer, camelize


def refusal(field: serializers.Field, value: object) -> str:
    with pytest.raises(serializers.ValidationError) as caught:
        field.run_validation(value)
    return caught.value.detail[0].code


@pytest.mark.parametrize("value", ["3", 3.0, 3.5, True, False, "３", "0_3", [3], {}, "", " 3"])
def test_a_whole_number_is_a_json_integer(value):
    assert refusal(WholeNumberField(), value) == "not_whole"


@pytest.mark.parametrize("value", [0, -1, 6, 2**63, 10**4_000])
def test_a_whole_number_has_bounds(value):
    assert refusal(WholeNumberField(min_value=1, max_value=5), value) in ("min_value", "max_value")


@pytest.mark.parametrize("value", ["", "-1", "+1", " 1", "1 ", "１", "1_0", "1.0", "1e1", "9" * 20])
def test_a_number_in_a_query_is_ascii_digits(value):
    assert refusal(DigitsField(), value) == "not_digits"


@pytest.mark.parametrize("value", ["0", "7", "007", "9" * 19])
def test_digits_are_a_number(value):
    assert DigitsField().run_validation(value) == int(value)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "0000-00-00",
            "10000-01-01",
            "2023-02-29",
            "2024-02-30T25:00Z",
            "2024-1-1",
            "2024-01-01 ",
        ),
        *("2024-01-01T00:00:00Z", "2024-01-01+02:00", "２０２４-01-01", "20240101", "2024-13-01"),
        *("24-01-01", "", "x", 20240101, 1.5, True, [], {}, "2024-01-01\n"),
    ],
)
def test_a_day_that_is_none_is_refused(value):
    """Row 102."""
    assert refusal(ISODateField(), value) == "invalid"


@pytest.mark.parametrize("value", ["0001-01-01", "9999-12-31", "2024-02-29"])
def test_a_real_day_is_kept_exactly(value):
    """Row 102."""
    assert ISODateField().run_validation(value).isoformat() == value


@pytest.mark.parametrize("field", [StringField, TextField])
@pytest.mark.parametrize("value", [3, 3.5, True, [], {}, ["x"]])
def test_a_text_is_a_json_string(field, value):
    assert refusal(field(), value) == "invalid"


def test_a_string_is_kept_as_given():
    assert StringField().run_validation("  Ame\u0301lie \t") == "  Ame\u0301lie \t"


def test_a_text_is_trimmed_composed_and_has_lf_line_ends():
    assert TextField().run_validation("  Ame\u0301lie\r\nPoulain\r ") == "Amélie\nPoulain"


@pytest.mark.parametrize("value", ["", "  ", "\u200b", "\u3000\u00a0", "\u2060\ufeff", "\u00ad"])
def test_a_text_of_nothing_to_see_is_blank(value):
    """Row 101."""
    assert refusal(TextField(), value) == "blank"
    assert TextField(allow_blank=True).run_validation(value) == ""


@pytest.mark.parametrize("value", ["a\x01b", "\x0b", "a\x7f", "\x85", "a\x00", "\ud800"])
def test_a_text_has_no_control_characters(value):
    assert refusal(TextField(), value) == "control"


@pytest.mark.parametrize("character", ["a", "é", "👻", "e\u0301"])
def test_the_length_of_a_text_is_counted_in_code_points_once_it_is_clean(character):
    """Row 101."""
    field = TextField(max_length=200)

    assert field.run_validation(f"  {character * 200}  ")
    assert refusal(field, character * 201) == "max_length"


@pytest.mark.parametrize(
    ("name", "on_the_wire"),
    [
        ("id", "id"),
        ("release_date", "releaseDate"),
        ("average_rating_of_all", "averageRatingOfAll"),
    ],
)
def test_names_are_camel_case_on_the_wire(name, on_the_wire):
    assert camelize(name) == on_the_wire


def test_input_output_and_errors_use_the_name_on_the_wire():
    class ReleaseSerializer(CamelCaseSerializer):
        release_date = ISODateField()

        def validate_releaseDate(self, value):
            if value.year < 1888:
                raise serializers.ValidationError("There were no films then.")
            return value

    good = ReleaseSerializer(data={"releaseDate": "1952-10-09"})
    early = ReleaseSerializer(data={"releaseDate": "1887-12-31"})
    snake = ReleaseSerializer(data={"release_date": "1952-10-09"})

    assert good.is_valid()
    assert list(good.validated_data) == ["release_date"]
    assert ReleaseSerializer(good.validated_data).data == {"releaseDate": "1952-10-09"}
    assert not early.is_valid()
    assert list(early.errors) == list((snake.is_valid(), snake.errors)[1]) == ["releaseDate"]
