"""What goes through the pipes between a server and the process that runs its embedding model.

A frame is its length in four bytes, and MessagePack.
"""

from typing import BinaryIO, TypeVar

import msgspec

T = TypeVar("T")

_LARGEST_FRAME_BYTES = 64 * 1024 * 1024
_LENGTH_BYTES = 4


class Request(msgspec.Struct, array_like=True, frozen=True):
    """Texts whose embeddings are wanted.

    Attributes:
        number: of the request; its response has the same.
        is_query: whether it is served before others.
        timeout_s: after which its response is not awaited any more.
    """

    number: int
    is_query: bool
    timeout_s: float
    texts: list[str]


class Response(msgspec.Struct, array_like=True, frozen=True):
    """Embeddings, or what is wrong.

    Attributes:
        number: of the request; 0: the model is loaded, or cannot be.
        vectors: 32-bit numbers, one embedding after the other, not of unit length.
        problem: a sentence; empty if there is none.
    """

    number: int
    vectors: bytes = b""
    problem: str = ""


def write_frame(file: BinaryIO, frame: Request | Response) -> None:
    """Write a frame.

    Raises:
        OSError: the other process has ended.
    """
    content = msgspec.msgpack.encode(frame)
    file.write(len(content).to_bytes(_LENGTH_BYTES, "little") + content)
    file.flush()


def read_frame(file: BinaryIO, kind: type[T]) -> T | None:
    """Return the next frame; None if the other process has closed the pipe.

    Raises:
        ValueError: what comes is no frame.
    """
    length = file.read(_LENGTH_BYTES)
    if len(length) < _LENGTH_BYTES:
        return None
    size = int.from_bytes(length, "little")
    if size > _LARGEST_FRAME_BYTES:
        raise ValueError("a frame is too large")
    content = file.read(size)
    return msgspec.msgpack.decode(content, type=kind) if len(content) == size else None
