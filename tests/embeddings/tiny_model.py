"""A tiny embedding model in ONNX format: a table of words, written byte by byte.

The embedding of a token is the direction of its word in `tests.embedding_server`.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.embedding_server import direction

DIMENSIONS = 8
WORDS = ("hello", "red", "shoes", "blue", "boots", "an", "invoice", "query:", "passage:")
VOCABULARY = {"[PAD]": 0, "[UNK]": 1, **{word: 2 + n for n, word in enumerate(WORDS)}}
ALL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")

_INT32, _INT64, _FLOAT = 6, 7, 1


def make_model(
    folder: Path,
    *,
    pooling: str = "mean",
    inputs: Sequence[str] = ALL_INPUTS,
    is_int32: bool = False,
    unknown: float = 0.5,
) -> Path:
    """Write the files of a model into a new folder, and return it.

    Args:
        pooling: mean or cls.
        inputs: those that the model declares.
        unknown: each number of the embedding of an unknown word.
    """
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(_model(inputs, _INT32 if is_int32 else _INT64, unknown))
    (folder / "tokenizer.json").write_text(json.dumps(_TOKENIZER))
    (folder / "config.json").write_text(json.dumps({"pad_token_id": 0}))
    name = {"mean": "mean_tokens", "cls": "cls_token"}[pooling]
    config = {"word_embedding_dimension": DIMENSIONS, f"pooling_mode_{name}": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    return folder


def row(word: str) -> list[float]:
    """Return the embedding of a word."""
    return direction(word, DIMENSIONS)


_TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "WhitespaceSplit"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": VOCABULARY, "unk_token": "[UNK]"},
}


def _model(inputs: Iterable[str], kind: int, unknown: float) -> bytes:
    rows = [[0.0] * DIMENSIONS, [unknown] * DIMENSIONS, *map(row, WORDS)]
    table = b"".join(struct.pack(f"<{DIMENSIONS}f", *each) for each in rows)
    # The fields of onnx.proto: TensorProto, NodeProto, GraphProto, ModelProto.
    weights = _numbers(1, len(rows), DIMENSIONS) + _number(2, _FLOAT)
    weights += _text(8, "table") + _bytes(9, table)
    gather = _text(1, "table") + _text(1, "input_ids") + _text(2, "last_hidden_state")
    gather += _text(4, "Gather")
    graph = _bytes(1, gather) + _text(2, "tiny") + _bytes(5, weights)
    for name in inputs:
        graph += _bytes(11, _value(name, kind, ["batch", "sequence"]))
    graph += _bytes(12, _value("last_hidden_state", _FLOAT, ["batch", "sequence", DIMENSIONS]))
    opset = _text(1, "") + _number(2, 13)
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, opset)


def _value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    dimensions = b"".join(
        _bytes(1, _text(2, each) if isinstance(each, str) else _number(1, each)) for each in shape
    )
    tensor = _number(1, kind) + _bytes(2, dimensions)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _numbers(field: int, *values: int) -> bytes:
    return b"".join(_number(field, each) for each in values)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
