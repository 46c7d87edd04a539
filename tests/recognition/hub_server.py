"""A server on this machine that plays the Hugging Face hub: real requests, real downloads."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Hub:
    """What the server has, and what was asked of it.

    Attributes:
        address: of the server.
        repositories: `owner/name` → revision → folder; the first revision is `main`.
        asked: path of each request.
    """

    address: str
    repositories: Mapping[str, Mapping[str, Path]]
    asked: list[str] = field(default_factory=list)

    def files_asked(self) -> set[str]:
        """Names of the files of repositories that were asked for."""
        return {path.split("/", 5)[5] for path in self.asked if path.split("/")[3:4] == ["resolve"]}


def commit_of(folder: Path) -> str:
    """The commit of a revision."""
    return hashlib.sha1(str(folder).encode()).hexdigest()


@contextmanager
def serve(repositories: Mapping[str, Mapping[str, Path]]) -> Iterator[Hub]:
    """Play the hub while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            hub.asked.append(path)
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                id, (kind, revision) = "/".join(parts[2:4]), parts[4:6] or ("revision", "main")
            else:
                id, kind, revision = "/".join(parts[:2]), *parts[2:4]
            found = repositories.get(id)
            if found is None:
                return self.refuse("RepoNotFound")
            folder = next((f for name, f in found.items() if revision in (name, commit_of(f))), None)
            if folder is None:
                return self.refuse("RevisionNotFound")
            files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
            names = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
            if kind == "revision":
                facts = {"id": id, "sha": commit_of(folder), "siblings": [{"rfilename": name} for name in names]}
                return self.give(json.dumps(facts).encode(), folder)
            if kind == "tree":
                rows = [
                    {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for name, content in names.items()
                ]
                return self.give(json.dumps(rows).encode(), folder)
            name = "/".join(parts[4:])
            return self.give(names[name], folder) if name in names else self.refuse("EntryNotFound")

        do_HEAD = do_GET  # noqa: N815

        def give(self, content: bytes, folder: Path) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit_of(folder))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def refuse(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}", repositories)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
