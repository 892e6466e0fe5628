"""The one error that bad input gets."""


class SourceError(ValueError):
    """Input that is not what it should be: names the file, the place, what was expected and what was found."""

    def __init__(self, file: object, place: str, expected: str, found: object) -> None:
        self.file, self.place, self.expected, self.found = str(file), place, expected, str(found)
        where = f"{self.file}, {place}" if place else self.file
        super().__init__(f"{where}: expected {expected}, found {self.found[:200]}")
