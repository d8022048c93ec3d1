"""Settings of embeddings that are wrong: the sentence says which, and what to do."""

import subprocess
import sys

import pytest

from tests.cli.running import userkeep
from tests.embeddings.opening import opened
from tests.embeddings.tiny_model import make_model
from userkeep.config import SettingError

URL = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"url": URL, "folder": "x", "model": "m"}, "are both set"),
        ({"url": URL}, "but not USERKEEP_EMBEDDINGS_MODEL"),
        ({"model": "m"}, "MODEL is set without USERKEEP_EMBEDDINGS_URL"),
        ({"folder": "x", "key": "k"}, "KEY is set without USERKEEP_EMBEDDINGS_URL"),
        ({"folder": "x", "daily_budget": 5}, "BUDGET is set without USERKEEP_EMBEDDINGS_URL"),
        ({"query_prefix": "q"}, "QUERY_PREFIX is set without"),
        ({"url": "http://jane:hunter2@127.0.0.1/v1", "model": "m"}, "must not have a password"),
        ({"url": "http://127.0.0.1/v1?key=hunter2", "model": "m"}, "must not have a password"),
        ({"url": "127.0.0.1:11434", "model": "m"}, "must begin with http"),
        ({"url": "ftp://127.0.0.1", "model": "m"}, "must begin with http"),
        ({"url": "http://[::1", "model": "m"}, "is not a URL"),
        ({"url": URL, "model": "m", "key_file": "/nowhere"}, "/nowhere"),
        ({"url": URL, "model": "m", "key": "ü"}, "must be visible ASCII"),
        ({"url": URL, "model": "m", "key": "sk-hunter2\n"}, "must be visible ASCII"),
        ({"url": URL, "model": "m", "batch_size": 0}, "must be at least 1"),
        ({"folder": "/nowhere"}, "/nowhere is not a folder"),
    ],
)
def test_a_wrong_setting_is_named(settings, sentence):
    with pytest.raises(SettingError, match=sentence) as caught, opened(**settings):
        pass
    assert "USERKEEP_EMBEDDINGS_" in str(caught.value) or "key_file" in settings
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("model.onnx", None, "has neither model.onnx nor onnx/model.onnx"),
        ("model.onnx", b"", "model.onnx is empty"),
        ("model.onnx", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ("tokenizer.json", None, "tokenizer.json does not exist"),
        ("1_Pooling/config.json", None, "1_Pooling/config.json does not exist"),
        ("1_Pooling/config.json", b"{", "1_Pooling/config.json is not JSON"),
        ("1_Pooling/config.json", b"[]", "must have a JSON object"),
        ("1_Pooling/config.json", b"{}", "got none"),
        (
            "1_Pooling/config.json",
            b'{"pooling_mode_max_tokens": true}',
            "got pooling_mode_max_tokens",
        ),
        ("modules.json", b'[{"type": "sentence_transformers.models.Dense"}]', "'Dense'"),
        ("config.json", b"\xff", "config.json is not JSON"),
    ],
)
def test_a_wrong_file_of_a_model_is_named(tmp_path, file, content, sentence):
    folder = make_model(tmp_path / "model")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    with pytest.raises(SettingError, match=sentence) as caught, opened(folder=folder):
        pass
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "extra", "missing"),
    [
        ({"url": URL, "model": "m"}, "embeddings", "numpy"),
        ({"folder": "x"}, "local", "numpy, onnxruntime, tokenizers"),
    ],
)
def test_a_missing_package_is_an_error_that_names_the_extra(monkeypatch, settings, extra, missing):
    monkeypatch.setattr("userkeep.embedders.find_spec", lambda _: None)
    with (
        pytest.raises(SettingError, match=f"not installed: {missing}. .* `{extra}`"),
        opened(**settings),
    ):
        pass


def test_without_embeddings_their_packages_are_not_loaded(tmp_path):
    program = (
        "import sys; from userkeep import Userkeep; Userkeep.open('a.db').close(); "
        "print({'numpy', 'onnxruntime', 'tokenizers', 'httpx2'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"


def test_the_server_does_not_start_with_a_wrong_setting(tmp_path):
    environment = {"USERKEEP_EMBEDDINGS_FOLDER": "nowhere"}
    result = userkeep("serve", "--port", "0", folder=tmp_path, environment=environment)
    assert result.returncode == 2
    assert "nowhere is not a folder" in result.stderr
    assert not (tmp_path / "userkeep-data").exists()
