"""R2 through the project's own Wrangler, which knows the account: `npx wrangler r2 object …`."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import ExportError

NO_OBJECT = "The specified key does not exist"
CONFIG = "wrangler.toml"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class WranglerError(ExportError):
    """Wrangler is not there, or could not do what was asked; the message has its own words."""


def find_project(start: Path) -> Path:
    """The nearest folder at or above `start`, or the current one, that has a wrangler.toml. Raises WranglerError."""
    for folder in (start.absolute(), Path.cwd()):
        for candidate in (folder, *folder.parents):
            if (candidate / CONFIG).is_file():
                return candidate
    raise WranglerError(f"there is no {CONFIG} above {start} or the current folder: give --project")


@dataclass(frozen=True)
class Bucket:
    """An R2 bucket. `options`: of every call, such as --remote."""

    name: str
    project: Path
    options: tuple[str, ...]

    def put(self, key: str, file: Path) -> None:
        """Writes an object, whole or not at all. Raises WranglerError."""
        result = self.call("put", key, "--file", str(file.absolute()))
        if result.returncode:
            raise WranglerError(f"wrangler could not write {key} to {self.name}: {complaint(result)}")

    def get(self, key: str) -> bytes | None:
        """A small object; None if there is none. Raises WranglerError."""
        result = self.call("get", key, "--pipe")
        if result.returncode == 0:
            return result.stdout
        if NO_OBJECT in complaint(result):
            return None
        raise WranglerError(f"wrangler could not read {key} of {self.name}: {complaint(result)}")

    def call(self, verb: str, key: str, *more: str) -> subprocess.CompletedProcess:
        npx = shutil.which("npx")
        if not npx or not (self.project / "node_modules/wrangler").is_dir():
            raise WranglerError(f"{self.project} has no Wrangler: run npm install there")
        command = [npx, "--no-install", "wrangler", "r2", "object", verb, f"{self.name}/{key}", *self.options, *more]
        return subprocess.run(command, cwd=self.project, capture_output=True, check=False, stdin=subprocess.DEVNULL)


def complaint(result: subprocess.CompletedProcess) -> str:
    """What Wrangler says is wrong, without colours and logs."""
    lines = (result.stderr + b"\n" + result.stdout).decode(errors="replace").splitlines()
    plain = [_COLOUR.sub("", line) for line in lines if line.strip()]
    errors = [line.partition("[ERROR]")[2].strip() for line in plain if "[ERROR]" in line]
    return " ".join(errors or plain) or f"exit code {result.returncode}"
