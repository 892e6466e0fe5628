"""The one error that bad input gets."""

from pathlib import Path


class SourceError(ValueError):
    """Input that is not what it should be: names the file, the place, what was expected and what was found."""

    def __init__(self, file: object, place: str, expected: str, found: object) -> None:
        self.file, self.place, self.expected, self.found = str(file), place, expected, str(found)
        where = f"{self.file}, {place}" if place else self.file
        super().__init__(f"{where}: expected {expected}, found {self.found[:200]}")


def unreadable(error: OSError, root: Path) -> SourceError:
    """A file or folder below `root` that the system does not let us read, by its own name."""
    name = error.filename if isinstance(error.filename, str) else str(root)
    path = Path(name)
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else name
    return SourceError(shown if shown != "." else root, "", "something that can be read", error.strerror or error)
