"""The folder of an embedding model, as sentence-transformers and ONNX exports have it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

MOST_TOKENS = 256
"""Of a text. The first 256 tokens of a message find it as well as all of them."""

_MODEL_FILES = ("model.onnx", "onnx/model.onnx")
_POOLING_FILE = "1_Pooling/config.json"
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")
_LARGEST_JSON_BYTES = 1024 * 1024


class ModelFolder(msgspec.Struct, frozen=True):
    """A model in a folder.

    Attributes:
        pooling: how a text's embedding is made from those of its tokens: mean or cls.
        pad_token: the number of the token that fills up shorter texts.
    """

    path: str
    model_file: str
    pooling: str
    most_tokens: int
    pad_token: int
    query_prefix: str = ""
    message_prefix: str = ""

    @property
    def name(self) -> str:
        """The name of the folder."""
        return Path(self.path).name

    @property
    def tokenizer_file(self) -> str:
        """The path of the tokenizer."""
        return str(Path(self.path, "tokenizer.json"))

    def fingerprint(self) -> str:
        """Return a hash of all that changes the vectors, the weights too: it reads the files."""
        digest = hashlib.sha256()
        settings = (self.pooling, self.most_tokens, self.query_prefix, self.message_prefix)
        digest.update(msgspec.json.encode(settings))
        model = Path(self.model_file)
        beside = sorted(model.parent.glob(f"{model.name}_data*"))
        for path in (model, *beside, Path(self.tokenizer_file)):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def read_model_folder(path: str, query_prefix: str, message_prefix: str) -> ModelFolder:
    """Check a folder, without loading its model.

    Args:
        query_prefix: instead of the one in the folder, if it is not empty.
        message_prefix: the same for messages.

    Raises:
        ValueError: a file is missing or cannot be used; the sentence names it.
    """
    folder = Path(path).absolute()
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder.")
    model_file = next((folder / each for each in _MODEL_FILES if (folder / each).is_file()), None)
    if model_file is None:
        raise ValueError(f"{folder} has neither {_MODEL_FILES[0]} nor {_MODEL_FILES[1]}.")
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder / 'tokenizer.json'} does not exist.")
    for each in (model_file, folder / "tokenizer.json"):
        _check_is_readable(each)
    _check_modules(folder)
    prompts = _read_json(folder / "config_sentence_transformers.json").get("prompts")
    prompts = prompts if isinstance(prompts, dict) else {}
    return ModelFolder(
        path=str(folder),
        model_file=str(model_file),
        pooling=_read_pooling(folder / _POOLING_FILE),
        most_tokens=_most_tokens(folder),
        pad_token=_number(_read_json(folder / "config.json").get("pad_token_id"), 0),
        query_prefix=query_prefix or _text(prompts.get("query")),
        message_prefix=message_prefix
        or _text(prompts.get("document"))
        or _text(prompts.get("passage")),
    )


def _check_is_readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            beginning = file.read(64)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    if not beginning:
        raise ValueError(f"{path} is empty.")
    if beginning.startswith(b"version https://git-lfs"):
        raise ValueError(
            f"{path} is a pointer of Git LFS, and not the file itself. Run `git lfs pull` where it "
            "comes from."
        )


def _check_modules(folder: Path) -> None:
    """Reject a model with layers after the pooling, which are not in its ONNX file."""
    path = folder / "modules.json"
    modules = _read_json(path, list)
    for each in modules:
        kind = _text(each.get("type") if isinstance(each, dict) else None).rpartition(".")[2]
        if kind not in _KNOWN_MODULES:
            raise ValueError(
                f"{path} has the module {kind!r}. Known are {', '.join(_KNOWN_MODULES)}."
            )


def _read_pooling(path: Path) -> str:
    if not path.is_file():
        raise ValueError(
            f"{path} does not exist. Copy it from the model, or create it with "
            '{"pooling_mode_mean_tokens": true} or {"pooling_mode_cls_token": true}, as the '
            "documentation of the model says."
        )
    config = _read_json(path)
    modes = [name for name, value in config.items() if name.startswith("pooling_mode") and value]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise ValueError(
            f"{path} must have one of {' and '.join(_POOLINGS)} as true; got "
            f"{', '.join(modes) or 'none'}."
        )
    return _POOLINGS[modes[0]]


def _most_tokens(folder: Path) -> int:
    longest = _read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    positions = _read_json(folder / "config.json").get("max_position_embeddings")
    return min(
        _number(longest, MOST_TOKENS) or MOST_TOKENS,
        _number(positions, MOST_TOKENS) or MOST_TOKENS,
        MOST_TOKENS,
    )


def _read_json(path: Path, kind: type[Any] = dict) -> Any:
    """Return the content of a file that need not exist; empty if it does not."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_LARGEST_JSON_BYTES))
    except FileNotFoundError:
        return kind()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON.") from error
    if not isinstance(content, kind):
        raise ValueError(f"{path} must have a JSON {'object' if kind is dict else 'array'}.")
    return content


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any, default: int) -> int:
    return value if type(value) is int and value >= 0 else default
