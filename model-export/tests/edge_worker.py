"""The real Worker in workerd, and a way to it that breaks, for the tests of what talks to a deployment."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Worker:
    """A Worker at `url`, with its label sets in a KV of its own."""

    url: str
    process: subprocess.Popen

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def label_sets(self, key: str) -> bytes:
        """What is in KV under `key`; nothing if there is no such key."""
        self.process.stdin.write(f"{key}\n")
        self.process.stdin.flush()
        return base64.b64decode(self.process.stdout.readline())


def needs_node() -> str:
    """npm; skips, loudly, where the project's packages are not installed."""
    npm = shutil.which("npm")
    if not npm or not (REPOSITORY / "node_modules/wrangler").is_dir():
        pytest.skip("NOT RUN: it needs the real Worker: npm install in the repository")
    return npm


def start_worker() -> Iterator[Worker]:
    """It ends when the generator does."""
    command = [needs_node(), "exec", "--call", "node test/edge/serve.ts"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=REPOSITORY, **pipes)
    url = next((line.strip() for line in process.stdout if line.startswith("http")), None)
    assert url, "the Worker did not start"
    yield Worker(url, process)
    process.stdin.close()
    process.wait(timeout=30)


@dataclass
class Way:
    """A port of this machine that leads to another one's Worker. What befalls the first connections is in `troubles`:
    a number: it breaks off after so many bytes; bytes: they are the answer. Later ones pass."""

    target: int
    troubles: list[int | bytes]
    connections: int = 0
    heard: list[str] = field(default_factory=list)
    """the requests that `troubles` answered"""
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self) -> Way:
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.listener.close()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                trouble = self.troubles[self.connections] if self.connections < len(self.troubles) else None
                self.connections += 1
                threading.Thread(target=self.serve, args=(client, trouble), daemon=True).start()

    def serve(self, client: socket.socket, trouble: int | bytes | None) -> None:
        if isinstance(trouble, bytes):
            self.heard.append(client.recv(65536).decode(errors="replace"))
            client.sendall(trouble)
            client.close()
            return
        with socket.create_connection(("127.0.0.1", self.target)) as server, client:
            back = threading.Thread(target=pump, args=(server, client, None), daemon=True)
            back.start()
            pump(client, server, trouble)
            if trouble is None:
                back.join()


def pump(source: socket.socket, sink: socket.socket, most: int | None) -> None:
    """Until it ends, or `most` bytes have gone."""
    gone = 0
    with suppress(OSError):
        while (most is None or gone < most) and (piece := source.recv(65536)):
            sink.sendall(piece if most is None else piece[: most - gone])
            gone += len(piece)
        if most is None:
            sink.shutdown(socket.SHUT_WR)
