"""Pictures of nets: none; `serverquant show` prints nets."""

from __future__ import annotations

from typing import Any


def GetPydotGraph(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("there are no pictures of nets here; `serverquant show` prints them")


GetPydotGraphMinimal = GetPydotGraph
