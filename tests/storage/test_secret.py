"""The instance's secret: created once, never in the database, and no other one is accepted."""

from pathlib import Path

import pytest

from userkeep.config import Settings
from userkeep.domain.errors import StorageError
from userkeep.instance import open_instance

SECRET = "correct horse battery staple"


def opened(path: Path, **settings: str) -> None:
    """Open the instance and close it again."""
    open_instance(Settings(database_url=f"sqlite:///{path}", **settings)).close()  # type: ignore[arg-type]


def bytes_beside(path: Path) -> bytes:
    """Return the content of the database's files."""
    return b"".join(each.read_bytes() for each in path.parent.iterdir() if each.suffix != ".secret")


def test_another_secret_is_rejected_with_an_explanation_and_changes_nothing(path: Path) -> None:
    opened(path, secret=SECRET)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="was created with another secret") as refused:
        opened(path, secret="another secret, quite long")
    assert "USERKEEP_SECRET_FILE" in refused.value.detail
    assert path.read_bytes() == before
    opened(path, secret=SECRET)


def test_the_same_secret_opens_the_database_from_a_setting_or_a_file(path: Path) -> None:
    opened(path, secret=SECRET)
    file = path.with_name("elsewhere.secret")
    file.write_text(f"{SECRET}\n")
    opened(path, secret_file=str(file))


def test_a_secret_is_created_beside_the_database_readable_by_its_user_only(path: Path) -> None:
    opened(path)
    secret = Path(f"{path}.secret")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_bytes().strip()) >= 32
    made = secret.read_bytes()
    opened(path)
    assert secret.read_bytes() == made
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "userkeep.db",
        "userkeep.db.lock",
        "userkeep.db.secret",
    ]


def test_the_database_does_not_contain_its_secret(path: Path) -> None:
    opened(path)
    secret = Path(f"{path}.secret").read_bytes().strip()
    assert secret not in bytes_beside(path)
    assert bytes.fromhex(secret.decode()) not in bytes_beside(path)


def test_a_database_without_its_secret_is_rejected(path: Path) -> None:
    opened(path)
    secret = Path(f"{path}.secret")
    kept = secret.read_bytes()
    secret.unlink()
    with pytest.raises(StorageError, match=r"\.secret does not exist"):
        opened(path)
    assert not secret.exists()
    secret.write_bytes(kept)
    opened(path)


def test_a_short_secret_in_a_file_is_rejected(path: Path) -> None:
    Path(f"{path}.secret").write_text("short\n")
    with pytest.raises(StorageError, match="shorter than 16 characters"):
        opened(path)


def test_an_unreadable_secret_file_is_an_error(path: Path) -> None:
    Path(f"{path}.secret").mkdir()
    with pytest.raises(StorageError, match="cannot be read or made"):
        opened(path)


def test_every_database_in_memory_has_its_own_secret() -> None:
    one = open_instance(Settings(database_url="sqlite:///:memory:"))
    two = open_instance(Settings(database_url="sqlite:///:memory:"))
    assert one.scope.rules.id_hash("jane") != two.scope.rules.id_hash("jane")
    one.close()
    two.close()
