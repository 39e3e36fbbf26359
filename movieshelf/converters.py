"""Path converters."""

MAX_BIGINT = 2**63 - 1
# No row has it, so what cannot exist is found missing where everything else is (404).
NO_ID = 0


class IdConverter:
    """An integer id: digits are a route; those that no row can have become NO_ID."""

    regex = "[0-9]+"

    def to_python(self, digits: str) -> int:
        if len(digits) > len(str(MAX_BIGINT)) or digits.startswith("0"):
            return NO_ID
        value = int(digits)
        return value if value <= MAX_BIGINT else NO_ID

    def to_url(self, value: int) -> str:
        return str(value)
