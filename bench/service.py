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
# A server closes a connection that is idle for long; the next request after so many seconds opens one.
IDLE_SECONDS = 2.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """One kept connection to a service."""

    def __init__(self, port: int):
        self.connection = HTTPConnection("127.0.0.1", port, timeout=600)
        self.used = time.monotonic()

    def raw(self, method: str, path: str, body=None, **headers):
        """The response's headers and its body as it came; anything but success ends the run with the service's own words."""
        text = None if body is None else json.dumps(body, separators=(",", ":"))
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if time.monotonic() > self.used + IDLE_SECONDS:
            self.connection.close()
        self.connection.request(method, path, text, {"content-type": "application/json", **headers} if text else headers)
        response = self.connection.getresponse()
        answer = response.read()
        self.used = time.monotonic()
        if response.status >= 300:
            raise SystemExit(f"{method} {path} answered {response.status}: {answer[:2000].decode()}")
        return response.headers, answer

    def call(self, method: str, path: str, body=None, **headers):
        """The response's headers and its parsed body."""
        headers, answer = self.raw(method, path, body, **headers)
        return headers, json.loads(answer) if answer else None

    def ask(self, method: str, path: str, body=None):
        """The parsed answer."""
        return self.call(method, path, body)[1]

    def batch(self, path: str, rows: list) -> float:
        """Writes rows in batches and gives the seconds it took."""
        began = time.perf_counter()
        for at in range(0, len(rows), BATCH_ROWS):
            self.ask("POST", f"{path}/batch", {"rows": rows[at : at + BATCH_ROWS]})
        return time.perf_counter() - began


def cpu_of_all(pid: int) -> float:
    """User and system time so far of a process and of all below it, those that have ended included."""
    parents, times = {}, {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            parents[int(path.parent.name)] = int(fields[1])
            times[int(path.parent.name)] = sum(map(int, fields[11:15]))
    family = {pid}
    while below := {child for child, parent in parents.items() if parent in family} - family:
        family |= below
    return sum(times.get(member, 0) for member in family) / os.sysconf("SC_CLK_TCK")


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
                time.sleep(0.01)
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(60)


@contextlib.contextmanager
def scratch():
    """A directory for the time of the block."""
    # Below /var/tmp, since a server that runs under another user has to reach it.
    directory = tempfile.mkdtemp(prefix="kampanje-bench-", dir="/var/tmp")
    os.chmod(directory, 0o755)
    try:
        yield pathlib.Path(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def serving(binary=ROOT / "target" / "dist" / "kampanje", **environment):
    """The service, by default from target/dist: its port and its process."""
    port = free_port()
    arguments = [str(binary), "--log", "warn", "serve", "--listen", f"127.0.0.1:{port}"]
    with process(arguments, port, **environment) as child:
        yield port, child


@contextlib.contextmanager
def service(**options):
    """The service on an embedded database of its own: its port and its process."""
    with scratch() as directory, serving(KAMPANJE_DATA_DIR=f"{directory}/data", DATABASE_URL="", **options) as (port, child):
        yield port, child
