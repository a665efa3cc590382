from typing import Any

from serverquant.runtime.operator import Operator

class NativeOperator(Operator):
    native: Any

def register_native(capsule: Any, replace: bool = False, int8: str = "") -> str: ...
