"""A service of one's own to measure: started with a throwaway data directory, filled through its API, ended by its pid."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from http.client import HTTPConnection

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH_ROWS = 1_000


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """One kept connection to a service."""

    def __init__(self, port: int):
        self.connection = HTTPConnection("127.0.0.1", port, timeout=600)

    def ask(self, method: str, path: str, body=None):
        """The parsed answer."""
        answer = self.raw(method, path, body)
        return json.loads(answer) if answer else None

    def raw(self, method: str, path: str, body=None) -> bytes:
        """The answer as it came; anything but success ends the run with the service's own words."""
        text = None if body is None else json.dumps(body, separators=(",", ":"))
        self.connection.request(method, path, text, {"content-type": "application/json"} if text else {})
        response = self.connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise SystemExit(f"{method} {path} answered {response.status}: {answer[:2000].decode()}")
        return answer

    def batch(self, path: str, rows: list) -> float:
        """Writes rows in batches and gives the seconds it took."""
        began = time.perf_counter()
        for at in range(0, len(rows), BATCH_ROWS):
            self.ask("POST", f"{path}/batch", {"rows": rows[at : at + BATCH_ROWS]})
        return time.perf_counter() - began


@contextlib.contextmanager
def process(arguments: list, port: int, **environment):
    """A process that answers on a port, for as long as the block runs."""
    child = subprocess.Popen(arguments, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if child.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{arguments[0]} does not come up") from None
                time.sleep(0.05)
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(60)


@contextlib.contextmanager
def service():
    """The service from target/release on an embedded database of its own: its port and its process."""
    port = free_port()
    # Below /var/tmp, since a server that runs under another user has to reach it.
    data_dir = tempfile.mkdtemp(prefix="kampanje-bench-", dir="/var/tmp")
    os.chmod(data_dir, 0o755)
    binary = str(ROOT / "target" / "release" / "kampanje")
    arguments = [binary, "--log", "warn", "serve", "--listen", f"127.0.0.1:{port}"]
    try:
        with process(arguments, port, KAMPANJE_DATA_DIR=f"{data_dir}/data", DATABASE_URL="") as child:
            yield port, child
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
