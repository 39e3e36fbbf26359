"""The few field types that are stricter than DRF's own (contract section 1, numbers and text)."""

import re
from datetime import date
from typing import Any

from rest_framework import serializers

from movieshelf.api.text import ControlCharacter, clean_text, is_blank

ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class WholeNumberField(serializers.IntegerField):
    """A JSON whole number: `"3"`, `3.0` and `true` are refused, which DRF would take."""

    default_error_messages = {"not_whole": "A whole number is needed."}  # noqa: RUF012  # DRF's way

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("not_whole")
        return data


class DigitsField(serializers.IntegerField):
    """A whole number in a query string: ASCII digits and nothing else."""

    default_error_messages = {"not_digits": "A whole number is needed."}  # noqa: RUF012  # DRF's way

    def to_internal_value(self, data: Any) -> int:
        if not (isinstance(data, str) and data.isascii() and data.isdigit() and len(data) <= 19):
            self.fail("not_digits")
        return int(data)


class ISODateField(serializers.DateField):
    """A real day as `YYYY-MM-DD`; DRF would take `2024-1-1` too."""

    def to_internal_value(self, value: Any) -> date:
        if not (isinstance(value, str) and ISO_DATE.fullmatch(value)):
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(value)


class StringField(serializers.CharField):
    """A JSON string, kept as given; DRF would make one of a number.

    Built without trimming, so that a bound on the length counts what was sent.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class TextField(StringField):
    """A JSON string for people to read: trimmed, NFC, LF line ends, no control characters."""

    default_error_messages = {"control": "Control characters are not allowed."}  # noqa: RUF012  # DRF's way

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str):
            try:
                data = clean_text(data)
            except ControlCharacter:
                self.fail("control")
            if is_blank(data):
                data = ""
        return super().run_validation(data)


class SpellingOutChoiceField(serializers.ChoiceField):
    """A choice whose refusal lists what is allowed."""

    def __init__(self, choices: Any, **kwargs: Any) -> None:
        super().__init__(choices, **kwargs)
        allowed = ", ".join(str(choice) for choice in self.choices)
        self.error_messages["invalid_choice"] = f"Allowed are: {allowed}."
