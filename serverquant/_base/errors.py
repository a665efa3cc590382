"""The exceptions of serverquant.

::

    ServerquantError (RuntimeError)          what `except RuntimeError` caught with Caffe2 is caught here
    ├── ParseError       (ValueError)        a file or message is not a NetDef, is cut short, or nests too deep
    ├── NetError         (ValueError)        a net is wrong as a whole: unknown source of an input, duplicate name
    │   ├── UnknownOperatorError (LookupError)   no operator of that type, or none with that engine
    │   └── MissingBlobError     (KeyError)      a blob does not exist, or nothing has been written to it yet
    ├── ArgumentError    (ValueError)        an operator's argument has a wrong type or value
    ├── ShapeError       (ValueError)        shapes that do not fit each other, or the operator
    ├── DTypeError       (TypeError)         a blob holds another type than the operator takes
    ├── QuantizationError (ValueError)       a scale, zero point or packed weight that cannot be used
    ├── OperatorError                        a custom operator raised; the cause is chained
    └── MachineError     (OSError)           this machine or build cannot do what was asked

Every error that concerns an operator names the net, the operator's index, its type and the blob: the code that knows
the operator adds that place with `at()`; the code that finds the fault need not know it.
"""

from __future__ import annotations


class ServerquantError(RuntimeError):
    """Base of all errors that serverquant raises on purpose."""

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message
        self.place = ""

    def at(self, place: str) -> ServerquantError:
        """Prefix the message with where it happened, once (the innermost place wins). Returns self."""
        if not self.place:
            self.place = place
        return self

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ParseError(ServerquantError, ValueError):
    """A file or message is not what it should be: not a NetDef, cut short, or nested too deeply."""


class NetError(ServerquantError, ValueError):
    """A net is wrong as a whole, such as an input that nothing makes or a name that is taken."""


class UnknownOperatorError(NetError, LookupError):
    """No operator of this type is registered, or none with an engine that was asked for."""


class MissingBlobError(NetError, KeyError):
    """A blob does not exist, or nothing has been written to it yet."""


class ArgumentError(ServerquantError, ValueError):
    """An operator's argument has a wrong type or value."""


class ShapeError(ServerquantError, ValueError):
    """Shapes do not fit each other, or do not fit the operator."""


class DTypeError(ServerquantError, TypeError):
    """A blob holds another type than the operator takes."""


class QuantizationError(ServerquantError, ValueError):
    """A scale, a zero point or a packed weight cannot be used."""


class OperatorError(ServerquantError):
    """A custom operator raised an exception; it is chained as the cause."""


class MachineError(ServerquantError, OSError):
    """This machine or this build cannot do what was asked."""

    __str__ = ServerquantError.__str__
