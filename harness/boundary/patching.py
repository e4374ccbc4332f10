"""Changes built-in functions in place, so that every reference that code has kept to one is changed with it.

CPython's type for them, ``PyCFunctionObject``, has had the same fields since 3.8; ``InPlace`` checks that they are where it
expects them. See docs/decisions/0023.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_ssize_t, c_void_p, py_object
from types import ModuleType
from typing import Any

from harness.errors import Unsupported

__all__ = ["InPlace", "method_of_class"]

_HEADER = object.__basicsize__
_FASTCALL_WITH_KEYWORDS = 0x82
_FLAGS_OF_CALLS = 0x8F


class _Def(ctypes.Structure):
    """``PyMethodDef``."""

    _fields_ = (("name", c_char_p), ("meth", c_void_p), ("flags", c_int), ("doc", c_void_p))


class _Function(ctypes.Structure):
    """``PyCFunctionObject`` after its header."""

    _fields_ = (
        ("ml", c_void_p),
        ("self", c_void_p),
        ("module", c_void_p),
        ("weakrefs", c_void_p),
        ("vectorcall", c_void_p),
    )


_kept: list[Any] = []
"""Whatever C code may have a pointer to: nothing of it is ever freed."""

_api = ctypes.pythonapi
_VECTORCALL = ctypes.cast(_api.PyObject_Vectorcall, c_void_p).value
_new_function = ctypes.PYFUNCTYPE(py_object, c_void_p, py_object, py_object)(("PyCFunction_NewEx", _api))


class InPlace:
    """A built-in function that can be made to run another one, and restored; ``real`` always runs the original."""

    def __init__(self, function: Any, instead: Callable[..., Any]) -> None:
        self.function, self.name = function, function.__name__
        self._fields = _Function.from_address(id(function) + _HEADER)
        home = function.__self__
        if self._fields.self != id(home) or not isinstance(home, ModuleType):
            raise Unsupported(
                f"{function!r} is not laid out as in CPython 3.11 to 3.14, so its time can't be made virtual. This is Python "
                f"{sys.version.split()[0]}: use one of those."
            )
        self._was = self._fields.ml, self._fields.self, self._fields.vectorcall
        self.real = _new_function(self._fields.ml, home, function.__module__)
        stand = _callable_module(home, instead)
        definition = _Def(self.name.encode(), _VECTORCALL, _FASTCALL_WITH_KEYWORDS, _Def.from_address(self._was[0]).doc)
        # The function's reference to what it takes for its module.
        _api.Py_IncRef(py_object(stand))
        _kept.extend((self, stand, definition))
        self._becomes = ctypes.addressof(definition), id(stand), _vectorcall()

    def put(self) -> None:
        """Have the function run the other from now on, wherever a reference to it has been kept."""
        self._set(self._becomes)

    def take_back(self) -> None:
        """Restore the function."""
        self._set(self._was)

    def _set(self, values: tuple[int, int, int]) -> None:
        fields = self._fields
        fields.ml, fields.self, fields.vectorcall = values

    def __repr__(self) -> str:
        return f"<InPlace {self.name} {'put' if self._fields.ml == self._becomes[0] else 'as it was'}>"


def _vectorcall() -> int:
    """Return how CPython calls built-in functions that take positional arguments and keywords."""
    like = _Function.from_address(id(sorted) + _HEADER)
    if _Def.from_address(like.ml).flags & _FLAGS_OF_CALLS != _FASTCALL_WITH_KEYWORDS:
        raise Unsupported("The built-in function 'sorted' of this Python is called in an unknown way.")
    return int(like.vectorcall)


def _callable_module(home: ModuleType, instead: Callable[..., Any]) -> ModuleType:
    """Return a module like *home* that can be called: ``PyObject_Vectorcall`` then is the C function to call it with.

    It is a module as ``pickle``, ``copy`` and ``repr`` take a built-in for a global one only if it belongs to a module.
    """
    kind = type("module", (ModuleType,), {"__call__": staticmethod(instead), "__slots__": ()})
    stand: ModuleType = kind(home.__name__)
    stand.__dict__.update(home.__dict__)
    return stand


def method_of_class(owner: type, name: str, instead: Callable[..., Any]) -> Callable[..., Any]:
    """Make ``owner.name``, a class method written in C, run ``instead(cls, ...)``; return the original as such a function.

    References that code has already bound (in a ``partial`` or as a default) call *instead* too, but can't pass on its
    errors: a call with arguments that *instead* refuses ends with a ``SystemError`` there.
    """
    names = _names(owner)
    descriptor = names[name]
    behind = c_void_p.from_address(id(descriptor) + _HEADER + 3 * ctypes.sizeof(c_void_p)).value
    definition = _Def.from_address(behind or 0)
    if definition.name != name.encode():
        raise Unsupported(
            f"{descriptor!r} is not laid out as in CPython 3.11 to 3.14, so its time can't be made virtual."
        )
    copy = _Def(definition.name, definition.meth, definition.flags, definition.doc)
    make = ctypes.PYFUNCTYPE(py_object, py_object, c_void_p)(("PyDescr_NewClassMethod", _api))
    original = make(owner, ctypes.addressof(copy))
    called = _for_c(instead, keywords=bool(definition.flags & _FASTCALL_WITH_KEYWORDS))
    _kept.extend((copy, original, called))
    names[name] = classmethod(instead)
    ctypes.PYFUNCTYPE(None, py_object)(("PyType_Modified", _api))(owner)
    definition.meth = ctypes.cast(called, c_void_p).value
    return lambda cls, *args, **options: original.__get__(None, cls)(*args, **options)


def _names(owner: type) -> dict[str, Any]:
    """Return the dictionary below the read-only view ``owner.__dict__``."""
    import gc

    (names,) = (found for found in gc.get_referents(owner.__dict__) if isinstance(found, dict))
    return names


def _for_c(instead: Callable[..., Any], *, keywords: bool) -> Any:
    """Return *instead* as a C function for the calling convention of a class method with or without arguments."""

    def called(cls: Any, first: int | None, count: int, names: int | None) -> int:
        try:
            if keywords:
                given = tuple(ctypes.cast(names, py_object).value) if names else ()
                every = list((py_object * (count + len(given))).from_address(first)) if first else []
                value = instead(cls, *every[:count], **dict(zip(given, every[count:], strict=True)))
            else:
                value = instead(cls)
        except BaseException:
            return 0
        _api.Py_IncRef(py_object(value))
        return id(value)

    if keywords:
        return ctypes.PYFUNCTYPE(c_void_p, py_object, c_void_p, c_ssize_t, c_void_p)(called)
    return ctypes.PYFUNCTYPE(c_void_p, py_object, c_void_p)(lambda cls, _: called(cls, None, 0, None))
