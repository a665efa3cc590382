"""Name scopes and device scopes."""

from serverquant.core.scopes import (  # noqa: F401
    CurrentDeviceScope,
    CurrentNameScope,
    DeviceScope,
    EmptyDeviceScope,
    EmptyNameScope,
    NameScope,
)
