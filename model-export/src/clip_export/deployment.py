"""A deployment's API for label sets, as `push` uses it: retries, timeouts, and problems told with what to do."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import httpx

from .errors import ExportError
from .progress import Advance, no_bytes_bar

ATTEMPTS = 5
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""seconds between attempts: each wait is twice the one before, or what Retry-After says"""
TIMEOUT = httpx.Timeout(60, connect=10)
"""seconds, of one read or write, not of a whole upload"""
CHUNK = 64 * 1024
LOCAL = {"localhost", "127.0.0.1", "::1"}

TO_DO = {
    "model_mismatch": "make the set again from the bundle that is deployed: clip-export labels BUNDLE …",
    "invalid_label_set": "make the set again: clip-export labels BUNDLE …",
    "label_set_read_only": "give it another name: clip-export labels … --name NAME",
    "model_not_found": "name the model in MODELS of wrangler.toml and deploy it: npm run deploy",
    "payload_too_large": "split the set, or raise MAX_BODY_MB in wrangler.toml (KV takes values of up to 25 MiB)",
    "model_unavailable": "deploy the model's bundle again: npm run deploy, or clip-export publish",
}
"""what a user can do about the API's problems, by their code"""
UNAUTHORISED = "give the deployment's key with --key or in EDGECLIP_KEY"


class DeploymentError(ExportError):
    """The deployment did not do what was asked; the message has its own words, and what to do."""


class Deployment:
    """An Edgeclip Worker at `url`. `key`, if there is one, goes with every request as a bearer token, and nowhere else.

    Raises DeploymentError for an address that would send it in the clear.
    """

    def __init__(self, url: str, key: str | None = None, wait: Callable[[float], None] = time.sleep) -> None:
        address = httpx.URL(url if url.endswith("/") else f"{url}/")
        if address.scheme != "https" and not (address.scheme == "http" and address.host in LOCAL):
            raise DeploymentError(f"--url {url}: it must begin with https:// (http:// only on this machine)")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.wait = wait
        self.client = httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT, follow_redirects=False)

    def close(self) -> None:
        self.client.close()

    def versions(self, model: str) -> dict[str, str]:
        """The label sets that are there for a model: name -> sha256 of the file."""
        listed = self.send("GET", "v1/label-sets", {"model": model})
        return {entry["name"]: entry["version"] for entry in listed["labelSets"]}

    def put(
        self,
        name: str,
        model: str,
        file: bytes,
        bar: Callable[[int], AbstractContextManager[Advance]] = no_bytes_bar,
    ) -> dict[str, Any]:
        """Uploads a label set; the API's description of it. `bar`: draws a bar of so many bytes, once an attempt."""
        return self.send("PUT", f"v1/label-sets/{name}", {"model": model}, file, bar)

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes | None = None,
        bar: Callable[[int], AbstractContextManager[Advance]] = no_bytes_bar,
    ) -> dict[str, Any]:
        """The JSON of the answer. What may pass (429, 5xx, a connection that breaks) is tried again, ATTEMPTS times.

        Raises DeploymentError.
        """
        pause = FIRST_WAIT
        for left in reversed(range(ATTEMPTS)):
            try:
                response = self.request(method, path, query, body, bar)
            except httpx.TransportError as error:
                if not left:
                    host = self.client.base_url.host
                    raise DeploymentError(f"{host}: {error or type(error).__name__}, {ATTEMPTS} times") from error
                self.wait(pause)
            else:
                if response.is_success:
                    return json_of(response)
                if not left or not (response.status_code == 429 or response.status_code >= 500):
                    raise DeploymentError(problem_of(response))
                self.wait(retry_after(response, pause))
            pause = min(2 * pause, LONGEST_WAIT)
        raise AssertionError("the last attempt returns or raises")

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes | None,
        bar: Callable[[int], AbstractContextManager[Advance]],
    ) -> httpx.Response:
        """One attempt."""
        if body is None:
            return self.client.request(method, path, params=query)
        headers = {"content-length": str(len(body)), "content-type": "application/octet-stream"}
        with bar(len(body)) as advance:
            return self.client.request(method, path, params=query, headers=headers, content=chunks(body, advance))


def chunks(body: bytes, advance: Advance) -> Iterator[bytes]:
    """The body in pieces; `advance` is told of each that was sent."""
    for first in range(0, len(body), CHUNK):
        piece = body[first : first + CHUNK]
        yield piece
        advance(len(piece))


def retry_after(response: httpx.Response, pause: float) -> float:
    """Seconds to wait: what the answer says, a number of them or a date, or `pause`. At most LONGEST_WAIT."""
    said = response.headers.get("retry-after", "")
    if said.isdigit():
        return min(float(said), LONGEST_WAIT)
    try:
        date = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return pause
    date = date if date.tzinfo else date.replace(tzinfo=UTC)  # of "-0000"
    return min(max(0.0, (date - datetime.now(UTC)).total_seconds()), LONGEST_WAIT)


def json_of(response: httpx.Response) -> dict[str, Any]:
    """Raises DeploymentError for an answer that is none of the API's."""
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise DeploymentError(f"{response.url.host} answers, but not as an Edgeclip Worker does: is --url right?")
    return content


def problem_of(response: httpx.Response) -> str:
    """The API's own words (RFC 9457), and what to do."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    problem = problem if isinstance(problem, dict) else {}
    code = problem.get("code")
    detail = problem.get("detail") or f"{response.status_code} {response.reason_phrase}"
    to_do = TO_DO.get(code) or (UNAUTHORISED if response.status_code in (401, 403) else "")
    return f"{f'{code}: ' if code else ''}{detail}{f' What to do: {to_do}' if to_do else ''}"
