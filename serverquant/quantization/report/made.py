"""A report and its files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from serverquant._base.errors import MachineError, ParseError
from serverquant.proto.io import replace_file
from serverquant.quantization.report import text
from serverquant.quantization.report.measure import FORMAT, VERSION

JSON, HTML = FILES = "report.json", "report.html"
KEYS = ("net", "samples", "machine", "settings", "summary", "float", "operators", "blobs", "weights", "graph")
HOW_TO_GET = "pip install 'serverquant[report]'"


class Report:
    """numbers: all that was found, as plain JSON values (docs/quantize.md)."""

    def __init__(self, numbers: dict[str, Any]):
        self.numbers = numbers

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Read a report.json; ParseError when it is none, or of another version."""
        try:
            numbers = json.loads(Path(path).read_text())
            known = numbers["format"] == FORMAT, numbers["version"] == VERSION
            if known == (True, True) and (missing := [key for key in KEYS if key not in numbers]):
                raise ValueError(f"it has no {', '.join(missing)}")
        except (ValueError, KeyError, TypeError) as error:
            raise ParseError(f"{os.fspath(path)} is not a report: {error}") from error
        if known != (True, True):
            raise ParseError(f"{os.fspath(path)} is not a report of version {VERSION}; quantize again")
        try:
            text.summary(numbers)
            text.table(numbers)
            text.table(numbers, numbers["summary"]["worst"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ParseError(f"{os.fspath(path)} is damaged: {error!r}") from error
        return cls(numbers)

    def json(self) -> str:
        return json.dumps(self.numbers, allow_nan=False) + "\n"

    def html(self) -> str:
        """The report as one page that needs nothing else. MachineError without the extra [report]."""
        try:
            from serverquant.quantization.report.page import page
        except ModuleNotFoundError as error:
            raise MachineError(f"a report in HTML needs {error.name}: {HOW_TO_GET}") from error
        return page(self.numbers)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write report.json and, where the extra [report] is installed, report.html; returns their paths. Without the
        extra the page of an earlier report goes."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        replace_file(target / JSON, self.json().encode())
        try:
            replace_file(target / HTML, self.html().encode())
        except MachineError:
            (target / HTML).unlink(missing_ok=True)
            return [target / JSON]
        return [target / JSON, target / HTML]
