"""The exceptions of serverquant.

::

    ServerquantError (RuntimeError)          what `except RuntimeError` caught with Caffe2 is caught here
    ├── ParseError       (ValueError)        a file or message is not a NetDef, is cut short, or nests too deep
    ├── NetError         (ValueError)        a net is wrong as a whole: unknown source of an input, duplicate name
    │   ├── UnknownOperatorError (LookupError)   no operator of that type, or none with that engine
    │   ├── MissingBlobError     (KeyError)      a blob does not exist, or nothing has been written to it yet
    │   └── DuplicateError       (AssertionError)    a net under construction cannot have this name or part
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

from collections.abc import Sequence


class ServerquantError(RuntimeError):
    """Base of all errors that serverquant raises on purpose.

    prefix: begins every message, for programs that look for it; "" but after compat.install().
    """

    prefix = ""

    def __init__(self, message: str):
        RuntimeError.__init__(self, message)
        self.message = message
        self.place = ""

    def at(self, place: str) -> ServerquantError:
        """Prefix the message with where it happened, once (the innermost place wins). Returns self."""
        if not self.place:
            self.place = place
        return self

    def __str__(self) -> str:
        return self.prefix + (f"{self.place}: {self.message}" if self.place else self.message)


class ParseError(ServerquantError, ValueError):
    """A file or message is not what it should be: not a NetDef, cut short, or nested too deeply."""


class NetError(ServerquantError, ValueError):
    """A net is wrong as a whole, such as an input that nothing makes or a name that is taken."""


class UnknownOperatorError(NetError, LookupError):
    """No operator of this type is registered, or none with an engine that was asked for."""


class MissingBlobError(NetError, KeyError):
    """A blob does not exist, or nothing has been written to it yet."""


class DuplicateError(NetError, AssertionError):
    """A net under construction cannot have this: a name that is taken, an output that it does not make."""


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

    @classmethod
    def of(cls, error: Exception) -> OperatorError:
        """An OperatorError that is caught as the exception's own type too, with what that carries."""
        try:
            made: type[OperatorError] = type(cls.__name__, (cls, type(error)), {"__str__": ServerquantError.__str__})
            found = made.__new__(made)
            found.__dict__.update(error.__dict__)
        except TypeError:  # built-in exceptions whose layouts do not go together
            return cls(f"{type(error).__name__}: {error}")
        ServerquantError.__init__(found, f"{type(error).__name__}: {error}")
        return found


class MachineError(ServerquantError, OSError):
    """This machine or this build cannot do what was asked."""

    __str__ = ServerquantError.__str__


def placed(
    error: ServerquantError | MemoryError,
    place: str,
    inputs: Sequence[tuple[str, object]] = (),
    outputs: Sequence[str] = (),
) -> ServerquantError:
    """The error with the place where it happened. One that names no blob gets the inputs (name and what is in it), or
    the outputs where there are no inputs. Having no memory left is one of ours too."""
    if not isinstance(error, ServerquantError):
        error = ServerquantError(f"there is no memory left{f': {error}' if str(error) else ''}")
    names = [*(name for name, _ in inputs), *outputs]
    if names and not any(f'"{name}"' in error.message for name in names):
        blobs = [f'"{name}" ({what!r})' for name, what in inputs] or [f'"{name}"' for name in outputs]
        what = "input" if inputs else "output"
        error.message += f"; {what}{'s' if len(blobs) > 1 else ''}: {', '.join(blobs[:6])}{', ...' * (len(blobs) > 6)}"
    return error.at(place)
