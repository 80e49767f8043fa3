"""A reader of CIFAR's pickled batches that builds nothing but what those files hold.

It runs the few opcodes that Python 2 and 3 write for a dict of numbers, texts, lists and arrays of bytes. No object is
called and no class is looked up: what the files name as functions are marks, and an array is made here, out of bytes that
are there. Work and memory are bounded by the number of opcodes and by the length of the file.
"""

import io
import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPCODES = {opcode.code: opcode.name for opcode in pickletools.opcodes}
# A batch of 50,000 images has about 400,000.
MOST_OPCODES = 2_000_000
# What is made of bytes that stand in the file once, such as an array of a text, may not be many times the file.
_MOST_COPIES = 3
# A line of protocol 0; one of these files is a name or a number.
_LONGEST_LINE = 1000


class PickleError(ValueError):
    """A pickle that is damaged, or holds what CIFAR's files do not; the message says what."""


@dataclass(frozen=True)
class _Name:
    """Something that a pickle names and this reader knows; it is nothing but its name."""

    text: str


class _Type:
    """The type of an array of bytes, the only one that is admitted."""


@dataclass
class _Array:
    """An array, which is made after it has been named."""

    values: NDArray[np.uint8] | None = None


_RECONSTRUCT, _FROM_BUFFER = _Name("_reconstruct"), _Name("_frombuffer")
_NDARRAY, _DTYPE, _ENCODE = _Name("ndarray"), _Name("dtype"), _Name("encode")
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DTYPE,
    # How Python 3 writes bytes for Python 2.
    ("_codecs", "encode"): _ENCODE,
}


def read_pickle(content: bytes) -> dict[str, Any]:
    """Read the dict of a batch: numbers, texts, lists of them and uint8 arrays.

    Texts of Python 2 are read as Latin-1, so that each byte is a character of the same number; keys that are bytes likewise.

    Args:
        content: a pickle of protocol 0 to 5.

    Raises:
        PickleError: it is damaged, or holds anything else.
    """
    try:
        found = _Reader(content).run()
    except PickleError:
        raise
    except (LookupError, ValueError, OverflowError, struct.error) as error:
        raise PickleError(f"damaged ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise PickleError(f"holds {_kind(found)}, a dict was expected")
    return {key: _finished(value) for key, value in found.items()}


def _finished(value: Any) -> Any:
    if not isinstance(value, _Array):
        return value
    if value.values is None:
        raise PickleError("holds an array without values")
    return value.values


class _Reader:
    """The stack machine of a pickle, as far as these files use it.

    Attributes:
        stack: values since the last mark.
        marked: the stacks before each mark.
        memo: values by the number that the file gave them.
        copied: bytes that may still be made of bytes of the file.
    """

    def __init__(self, content: bytes) -> None:
        self.stream = io.BytesIO(content)
        self.left = len(content)
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.copied = _MOST_COPIES * len(content)

    def run(self) -> Any:
        """Run all opcodes; what is left in the end."""
        for _ in range(MOST_OPCODES):
            code = self.take(1)
            name = _OPCODES.get(code.decode("latin-1"))
            if name is None:
                raise PickleError(f"damaged (no opcode {code[0]})")
            if name == "STOP":
                return self.stack[-1]
            handler = _HANDLERS.get(name)
            if handler is None:
                raise PickleError(f"holds the opcode {name}, which is not admitted")
            handler(self)
        raise PickleError(f"more than {MOST_OPCODES:,} opcodes")

    def take(self, count: int) -> bytes:
        """The next `count` bytes, all of which are there."""
        if not 0 <= count <= self.left:
            raise PickleError(f"truncated, or it claims {count:,} bytes where {self.left:,} are left")
        self.left -= count
        return self.stream.read(count)

    def number(self, form: str) -> int:
        """The next number, in the `form` of `struct`."""
        return int(struct.unpack(f"<{form}", self.take(struct.calcsize(form)))[0])

    def line(self) -> str:
        """The next line of protocol 0."""
        line = self.stream.readline(_LONGEST_LINE)
        self.left -= len(line)
        if not line.endswith(b"\n"):
            raise PickleError("truncated, or a line is too long")
        return line[:-1].decode("latin-1")

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def push_text(self, form: str) -> None:
        """A text in UTF-8 after its length; only characters of Latin-1, which take a byte each in memory."""
        content = self.take(self.number(form))
        if content and max(content) > 0xC3:
            raise PickleError("holds a text with characters beyond Latin-1")
        self.push(content.decode())

    def push_name(self, module: str, name: str) -> None:
        """What the pickle would look up."""
        found = _NAMES.get((module, name))
        if found is None:
            raise PickleError(f"names {module}.{name}, which is not admitted")
        self.push(found)

    def pop_marked(self) -> list[Any]:
        """The values since the last mark, which goes as well."""
        values, self.stack = self.stack, self.marked.pop()
        return values

    def pop_tuple(self, count: int) -> None:
        """Make a tuple of the last `count` values."""
        values = [self.stack.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def extend(self, values: list[Any]) -> None:
        """Add values to the list before them."""
        if not isinstance(self.stack[-1], list):
            raise PickleError(f"adds items to {_kind(self.stack[-1])}")
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        """Add pairs to the dict before them; its keys are texts, which can be hashed without danger."""
        target = self.stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            raise PickleError("adds pairs to what is no dict, or half a pair")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | bytes):
                raise PickleError(f"has {_kind(key)} for a key")
            target[key.decode("latin-1") if isinstance(key, bytes) else key] = value

    def get(self, number: int) -> None:
        """Put the value of a number on the stack again."""
        self.push(self.memo[number])

    def put(self, number: int) -> None:
        """Remember the value on top by a number; a dict is not as long as its largest number."""
        self.memo[number] = self.stack[-1]

    def reduce(self) -> None:
        """What the pickle calls, done here."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(arguments, tuple):
            raise PickleError("damaged (a call without arguments)")
        if function is _RECONSTRUCT and arguments[:1] == (_NDARRAY,):
            # Its shape and values come later; a shape that is given here is of nothing.
            self.push(_Array())
        elif function is _DTYPE:
            if arguments[0] not in ("u1", b"u1", "|u1", b"|u1", "uint8", b"uint8"):
                raise PickleError("holds an array of another type, only u1 is admitted")
            self.push(_Type())
        elif function is _ENCODE:
            text, coding = arguments
            if not isinstance(text, str) or coding != "latin1":
                raise PickleError("holds a text in a coding that is not admitted")
            self.push(self.bytes_of(text))
        elif function is _FROM_BUFFER:
            buffer, dtype, shape, order = arguments
            self.push(_Array(self.array(buffer, dtype, shape, order == "F")))
        else:
            raise PickleError(f"calls {_kind(function)}, which is not admitted")

    def build(self) -> None:
        """Give an array its shape and values; the state of a type is known."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _Type):
            return
        if not isinstance(target, _Array) or not isinstance(state, tuple) or len(state) != 5:
            raise PickleError(f"gives a state to {_kind(target)}")
        _, shape, dtype, fortran, values = state
        target.values = self.array(values, dtype, shape, bool(fortran))

    def array(self, values: Any, dtype: Any, shape: Any, fortran: bool) -> NDArray[np.uint8]:
        """An array of a shape that its values fill."""
        if not isinstance(dtype, _Type) or not isinstance(shape, tuple) or not 1 <= len(shape) <= 4:
            raise PickleError("holds an array without type u1 or of a strange shape")
        content = self.bytes_of(values)
        if not all(type(size) is int and 0 <= size <= len(content) for size in shape) or prod(shape) != len(content):
            raise PickleError(f"holds an array whose shape is not that of its {len(content):,} values")
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")

    def bytes_of(self, value: Any) -> bytes:
        """The bytes that a text of Python 2 stands for."""
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            raise PickleError(f"holds {_kind(value)} in the place of bytes")
        self.copied -= len(value)
        if self.copied < 0:
            raise PickleError("makes the same bytes again and again")
        return value.encode("latin-1")


def _kind(value: Any) -> str:
    return value.text if isinstance(value, _Name) else f"a {type(value).__name__.strip('_').lower()}"


def _quoted(line: str) -> str:
    """A text of protocol 0, as far as it is plain."""
    if len(line) < 2 or line[0] not in "'\"" or line[-1] != line[0] or "\\" in line:
        raise PickleError("damaged (a text without quotes, or with escapes)")
    return line[1:-1]


def _whole(line: str) -> int | bool:
    """A number of protocol 0, or one of its two truths."""
    if line in ("00", "01"):
        return line == "01"
    digits = line.removesuffix("L")
    if len(digits) > 20 or not digits.removeprefix("-").isdecimal() or not digits.isascii():
        raise PickleError(f"damaged (the number {line:.20})")
    return int(digits)


def _stack_global(reader: _Reader) -> None:
    name, module = reader.stack.pop(), reader.stack.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise PickleError("damaged (a name that is no text)")
    reader.push_name(module, name)


def _mark(reader: _Reader) -> None:
    reader.marked.append(reader.stack)
    reader.stack = []


def _append(reader: _Reader) -> None:
    value = reader.stack.pop()
    reader.extend([value])


def _set_item(reader: _Reader) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    reader.set_items([key, value])


def _dict(reader: _Reader) -> None:
    values = reader.pop_marked()
    reader.push({})
    reader.set_items(values)


_HANDLERS: dict[str, Callable[[_Reader], object]] = {
    "PROTO": lambda reader: reader.number("B"),
    "FRAME": lambda reader: reader.number("Q"),
    "MARK": _mark,
    "NONE": lambda reader: reader.push(None),
    "NEWTRUE": lambda reader: reader.push(True),
    "NEWFALSE": lambda reader: reader.push(False),
    "INT": lambda reader: reader.push(_whole(reader.line())),
    "LONG": lambda reader: reader.push(_whole(reader.line())),
    "BININT": lambda reader: reader.push(reader.number("i")),
    "BININT1": lambda reader: reader.push(reader.number("B")),
    "BININT2": lambda reader: reader.push(reader.number("H")),
    "LONG1": lambda reader: reader.push(int.from_bytes(reader.take(reader.number("B")), "little", signed=True)),
    "STRING": lambda reader: reader.push(_quoted(reader.line())),
    "SHORT_BINSTRING": lambda reader: reader.push(reader.take(reader.number("B")).decode("latin-1")),
    "BINSTRING": lambda reader: reader.push(reader.take(reader.number("i")).decode("latin-1")),
    "SHORT_BINUNICODE": lambda reader: reader.push_text("B"),
    "BINUNICODE": lambda reader: reader.push_text("I"),
    "BINUNICODE8": lambda reader: reader.push_text("Q"),
    "SHORT_BINBYTES": lambda reader: reader.push(reader.take(reader.number("B"))),
    "BINBYTES": lambda reader: reader.push(reader.take(reader.number("I"))),
    "BINBYTES8": lambda reader: reader.push(reader.take(reader.number("Q"))),
    "BYTEARRAY8": lambda reader: reader.push(reader.take(reader.number("Q"))),
    "EMPTY_LIST": lambda reader: reader.push([]),
    "EMPTY_TUPLE": lambda reader: reader.push(()),
    "EMPTY_DICT": lambda reader: reader.push({}),
    "LIST": lambda reader: reader.push(reader.pop_marked()),
    "TUPLE": lambda reader: reader.push(tuple(reader.pop_marked())),
    "TUPLE1": lambda reader: reader.pop_tuple(1),
    "TUPLE2": lambda reader: reader.pop_tuple(2),
    "TUPLE3": lambda reader: reader.pop_tuple(3),
    "DICT": _dict,
    "APPEND": _append,
    "APPENDS": lambda reader: reader.extend(reader.pop_marked()),
    "SETITEM": _set_item,
    "SETITEMS": lambda reader: reader.set_items(reader.pop_marked()),
    "GLOBAL": lambda reader: reader.push_name(reader.line(), reader.line()),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _Reader.reduce,
    "BUILD": _Reader.build,
    "GET": lambda reader: reader.get(_whole(reader.line())),
    "BINGET": lambda reader: reader.get(reader.number("B")),
    "LONG_BINGET": lambda reader: reader.get(reader.number("I")),
    "PUT": lambda reader: reader.put(_whole(reader.line())),
    "BINPUT": lambda reader: reader.put(reader.number("B")),
    "LONG_BINPUT": lambda reader: reader.put(reader.number("I")),
    "MEMOIZE": lambda reader: reader.put(len(reader.memo)),
}
