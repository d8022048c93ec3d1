"""Files of npm packages that the server sends to browsers, kept in the repository unchanged.

    python -m devtools.vendored           fetch the packages with `npm pack` and write their files
    python -m devtools.vendored --check   exit with 1 if a file is not as its package has it

Needs npm. Each folder gets the licence of its package and `SHA256SUMS`, which a test compares with
the files without npm.
"""

import sys
import tarfile
import tempfile
from base64 import b64encode
from hashlib import sha256, sha512
from pathlib import Path, PurePath
from typing import NamedTuple

from devtools.commands import ROOT, run

FOLDER = ROOT / "userkeep" / "http" / "vendored"
SUMS = "SHA256SUMS"


class Package(NamedTuple):
    """A package and those of its files that are served, or that its licence requires.

    Attributes:
        name, version: on npm.
        sha512: of the archive, in base64, as `npm view NAME@VERSION dist.integrity` shows it.
        files: their paths in the archive, without `package/`; they are kept by their names alone.
    """

    name: str
    version: str
    sha512: str
    files: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files as they are kept."""
        return tuple(PurePath(name).name for name in self.files)


PACKAGES = (
    Package(
        "htmx.org",
        "2.0.11",
        "Thx/WtpeOQqSrqBCw/A1cwGJGg4UrVa3+sW0GmrM3p4gJgO89ecH4qtbnyzDDWFvBTqjnIMCgELTNt636dtamA==",
        ("LICENSE", "dist/htmx.min.js"),
    ),
    Package(
        "swagger-ui-dist",
        "5.35.0",
        "U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==",
        (
            "LICENSE",
            "NOTICE",
            "swagger-ui-bundle.js",
            "swagger-ui-bundle.js.LICENSE.txt",
            "swagger-ui.css",
        ),
    ),
)


def main() -> None:
    """Fetch all packages and write, or with `--check` compare, their files."""
    for package in PACKAGES:
        files = _fetched(package)
        if "--check" in sys.argv[1:]:
            _check(package, files)
        else:
            _write(package, files)


def sums_of(files: dict[str, bytes]) -> str:
    """Return the text of `SHA256SUMS`, which `sha256sum --check` reads."""
    return "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))


def _fetched(package: Package) -> dict[str, bytes]:
    """Return the files of a package by their paths."""
    with tempfile.TemporaryDirectory() as folder:
        run("npm", "pack", f"{package.name}@{package.version}", folder=Path(folder))
        (archive,) = Path(folder).iterdir()
        digest = b64encode(sha512(archive.read_bytes()).digest()).decode()
        if digest != package.sha512:
            raise SystemExit(f"{package.name} {package.version}: the archive's SHA-512 is {digest}")
        with tarfile.open(archive) as content:
            return {PurePath(name).name: _read(content, name) for name in package.files}


def _read(content: tarfile.TarFile, name: str) -> bytes:
    file = content.extractfile(f"package/{name}")
    assert file is not None, f"{name} is not a file"
    return file.read()


def _write(package: Package, files: dict[str, bytes]) -> None:
    folder = FOLDER / package.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / SUMS).write_text(sums_of(files))


def _check(package: Package, files: dict[str, bytes]) -> None:
    folder = FOLDER / package.name
    for name, content in files.items():
        if not (folder / name).is_file() or (folder / name).read_bytes() != content:
            raise SystemExit(f"{folder / name} is not the file of {package.name} {package.version}")


if __name__ == "__main__":
    main()
