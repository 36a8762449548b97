"""Tests of the client and the plugin against the standalone program: LEASES_STANDALONE, or else built from this repository."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import leases
from leases import Lease, LeaseClient

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 30.0  # seconds that anything may take which happens by itself; a machine under load is slow
TTL = 6
INVENTORY = f"""
pools:
  default:
    ttl: {TTL}s
    devices:
      - name: rpi4-01
        labels: {{model: rpi4}}
        connection: {{host: 192.0.2.1, password: "s3cret"}}
      - name: rpi4-02
        labels: {{model: rpi4}}
        connection: {{host: 192.0.2.2, password: "s3cret"}}
      - name: nuc-01
        labels: {{model: nuc}}
        connection: {{host: 192.0.2.3, password: "s3cret"}}
"""


def eventually(what: str, condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


def free_address() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


def read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
        return json.load(reply)


class Server:
    """The standalone program with the inventory of these tests."""

    def __init__(self, program: str, folder: pathlib.Path) -> None:
        allocator, keepalive, self.redis = free_address(), free_address(), free_address()
        self.url = f"http://{allocator}"
        (folder / "inventory.yaml").write_text(INVENTORY)
        self.said = folder / "stderr"
        environment = {
            "PATH": os.environ["PATH"], "INVENTORY": str(folder / "inventory.yaml"), "ALLOCATOR_ADDR": allocator,
            "KEEPALIVE_ADDR": keepalive, "KEEPALIVE_URL": f"http://{keepalive}", "EMBEDDED_REDIS_ADDR": self.redis,
        }
        with self.said.open("w") as stderr:
            self.process = subprocess.Popen([program], env=environment, stdout=subprocess.DEVNULL, stderr=stderr)
        try:
            for address in (allocator, keepalive):
                eventually(f"{address} is ready", lambda: self.ready(address))
        except BaseException:
            self.kill()
            raise

    def ready(self, address: str) -> bool:
        assert self.process.poll() is None, self.said.read_text()
        try:
            return bool(read(f"http://{address}/readyz") or True)
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def state(self, lease_id: str) -> str:
        return str(read(f"{self.url}/v1/leases/{lease_id}")["state"])

    def leases(self, state: str) -> list[Any]:
        return list(read(f"{self.url}/v1/leases?state={state}")["leases"])

    def take_away(self, device: str) -> None:
        """Deletes the lock of a device, as somebody with redis-cli may."""
        host, port = self.redis.rsplit(":", 1)
        key = f"lock:{{default}}:{device}".encode()
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as s:
            s.sendall(b"*2\r\n$3\r\nDEL\r\n$%d\r\n%s\r\n" % (len(key), key))
            assert s.recv(16) == b":1\r\n"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    if built := os.environ.get("LEASES_STANDALONE"):
        return built
    path = str(tmp_path_factory.mktemp("bin") / "standalone")
    subprocess.run(["go", "build", "-o", path, "./cmd/standalone"], cwd=HERE.parent.parent, check=True, timeout=300)
    return path


@pytest.fixture(scope="session")
def lab(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(program, tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
def server(lab: Server) -> Iterator[Server]:
    """The server, on which each test has to leave nothing."""
    yield lab
    assert lab.leases("active") == []
    assert lab.leases("pending") == []


@pytest.fixture
def client(server: Server) -> LeaseClient:
    return LeaseClient(server.url)


class Proxy:
    """Passes requests on to a server. Each of `faults` befalls one: "drop" its reply, or answer with this status, or 503 and this code, at once."""

    def __init__(self, upstream: str) -> None:
        self.faults: list[str | int] = []
        self.seen: list[tuple[float, str, str]] = []
        proxy, address = self, upstream.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.seen.append((time.monotonic(), self.command, self.headers["Lease-Token"]))
                fault = proxy.faults.pop(0) if proxy.faults else ""
                if fault and fault != "drop":
                    self.send_response(fault if isinstance(fault, int) else 503)
                    self.send_header("Retry-After", "1")
                    self.end_headers()
                    self.wfile.write(b"" if isinstance(fault, int) else json.dumps({"code": fault}).encode())
                    return
                upstream = http.client.HTTPConnection(address, timeout=PATIENCE)
                upstream.request(self.command, self.path, body, dict(self.headers))
                reply = upstream.getresponse()
                text = reply.read()
                upstream.close()
                if fault == "drop":
                    return
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = forward

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    p = Proxy(server.url)
    yield p
    p.http.shutdown()
    p.http.server_close()


def test_acquire_keepalive_release(server: Server, client: LeaseClient) -> None:
    lease = client.acquire("model=nuc", holder="alice", purpose="a test", link="http://ci.example.com/1", priority=7, ttl=60)
    assert lease.device.name == "nuc-01"
    assert lease.device.connection["host"] == "192.0.2.3"
    assert lease.device.labels == {"model": "nuc"}
    before = client.get(lease)
    assert {key: before[key] for key in ("state", "holder", "purpose", "link", "priority", "ttl_seconds")} == {
        "state": "active", "holder": "alice", "purpose": "a test", "link": "http://ci.example.com/1", "priority": 7, "ttl_seconds": 60}
    eventually("the clock ticks", lambda: client.get(lease)["remaining_seconds"] < 60)
    client.keepalive(lease)
    assert client.get(lease.id)["expire_time"] > before["expire_time"]
    assert not lease.lost and lease.reason is None
    lease.release()
    lease.release()
    assert server.state(lease.id) == "released"
    assert not lease.lost


def test_the_readme(server: Server, tmp_path: pathlib.Path) -> None:
    """Its first example as a program, the second as a test file."""
    program, tests = re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL)
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "test_it.py").write_text(tests)
    environment = {**os.environ, "LEASES_URL": server.url, "PYTHONPATH": str(HERE)}
    pytest_run = ["-m", "pytest", "-p", "leases", "-p", "no:cacheprovider", "--lease-selector", "model=rpi4", "--lease-wait", "10m"]
    for command in (["program.py"], pytest_run):
        done = subprocess.run([sys.executable, "-B", *command], cwd=tmp_path, env=environment, timeout=PATIENCE, capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "rpi4-0" in done.stdout


def test_secrets_are_not_shown(client: LeaseClient) -> None:
    with client.acquire() as lease:
        shown = repr([lease, vars(lease), lease.device, lease.device.connection, client, vars(client)])
        assert "s3cret" not in shown and "192.0.2" not in shown
        assert str(lease._token) not in shown
        assert "connection" not in client.get(lease)["devices"][0]


def test_refusals_have_codes(client: LeaseClient) -> None:
    with client.acquire(name="nuc-01"):
        with pytest.raises(leases.NoneFree) as none_free:
            client.acquire(name="nuc-01")
    assert (none_free.value.code, none_free.value.status, none_free.value.retry_after) == ("none_free", 429, 20)
    with pytest.raises(leases.NoMatch, match="model is one of nuc, rpi4"):
        client.acquire("model=fridge", wait=60)
    with pytest.raises(leases.Invalid, match="ttl_seconds"):
        client.acquire(ttl=1)
    with pytest.raises(leases.NotFound):
        client.get("default-" + "a" * 26)


def test_waits_until_another_releases(client: LeaseClient) -> None:
    first = client.acquire("model=nuc")
    places: list[dict[str, Any]] = []

    def on_queue(place: dict[str, Any]) -> None:
        places.append(place)
        threading.Timer(0.2, first.release).start()

    with client.acquire("model=nuc", wait=PATIENCE, on_queue=on_queue) as second:
        assert second.device.name == "nuc-01"
        assert second.fence > first.fence
    assert (places[0]["place"], places[0]["length"], len(places)) == (1, 1, 1)
    assert "1 matching device leased" in places[0]["reason"]


def test_a_grant_that_comes_late_is_kept_alive_at_once(client: LeaseClient) -> None:
    """The wait is longer than the TTL, so when the reply comes its request was sent too long ago to say how long the lease is ours."""
    first = client.acquire("model=nuc", ttl=3)
    later = threading.Timer(3.5, first.release)
    later.start()
    with client.acquire("model=nuc", wait=PATIENCE, ttl=3) as second:
        assert not second.lost


def test_the_place_is_given_up_when_the_wait_is_over(server: Server, client: LeaseClient) -> None:
    with client.acquire("model=nuc"):
        with pytest.raises(leases.NoneFree, match=r"waited 0.3 s, and is number 1 in line: 1 matching device leased"):
            client.acquire("model=nuc", wait=0.3)
        assert server.leases("pending") == []


def test_the_place_is_given_up_when_the_wait_is_interrupted(server: Server, client: LeaseClient) -> None:
    def interrupt(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with client.acquire("model=nuc"):
        with pytest.raises(KeyboardInterrupt):
            client.acquire("model=nuc", wait=60, on_queue=interrupt)
        assert server.leases("pending") == []


def test_two_demands(client: LeaseClient) -> None:
    demands: list[dict[str, Any]] = [{"selector": "model=nuc", "as": "target"}, {"selector": "model=rpi4", "as": "boards", "count": 2}]
    with client.acquire(devices=demands) as lease:
        assert [d.as_ for d in lease.devices] == ["target", "boards", "boards"]
        assert lease["target"].name == "nuc-01"
        for name in ("boards", "nothing"):
            with pytest.raises(LookupError):
                lease[name]
        with pytest.raises(LookupError):
            lease.device


def test_lost_replies_leak_no_device(server: Server, proxy: Proxy) -> None:
    proxy.faults = ["drop"]
    lease = LeaseClient(proxy.url).acquire("model=rpi4")
    assert [method for _, method, _ in proxy.seen] == ["POST", "POST"]
    assert len({token for _, _, token in proxy.seen}) == 1
    assert [held["id"] for held in server.leases("active")] == [lease.id]
    proxy.faults = ["drop"]
    lease.release()
    assert server.state(lease.id) == "released"


def test_a_request_whose_reply_never_comes_is_given_up(server: Server, proxy: Proxy) -> None:
    proxy.faults = ["drop"] * 3
    with pytest.raises(leases.Unreachable):
        LeaseClient(proxy.url, patience=0.2).acquire("model=rpi4")
    assert proxy.seen[-1][1] == "DELETE"
    assert server.leases("active") == []


@pytest.mark.parametrize("fault", [503, "store_unavailable", "not_replicated", "overloaded"])
def test_retry_after_is_obeyed(proxy: Proxy, fault: str | int) -> None:
    proxy.faults = [fault]
    with LeaseClient(proxy.url).acquire():
        (first, *_), (second, *_) = proxy.seen
        assert second - first >= 1


def test_no_server_is_an_error_that_says_where() -> None:
    address = free_address()
    with pytest.raises(leases.Unreachable, match=f"http://{address}/v1/leases: .*refused") as error:
        LeaseClient(f"http://{address}", patience=0.1).acquire()
    assert error.value.status is None
    with pytest.raises(ValueError, match="no URL"):
        LeaseClient("localhost:8080")


def test_a_lease_that_is_taken_away_is_lost(server: Server, client: LeaseClient) -> None:
    told: list[Lease] = []
    lease = client.acquire("model=nuc")
    lease.on_lost(told.append)
    server.take_away("nuc-01")
    with pytest.raises(leases.LeaseEnded) as ended:
        lease.keepalive()
    assert (ended.value.status, ended.value.ended_reason) == (410, "revoked")
    assert lease.lost and "it was taken away" in (lease.reason or "")
    assert eventually("the callback is called", lambda: told) == [lease]
    lease.on_lost(told.append)
    assert told == [lease, lease]
    with pytest.raises(leases.LeaseLost):
        lease.release()


def test_a_release_tells_that_the_lease_was_taken_away(server: Server, client: LeaseClient) -> None:
    with pytest.raises(leases.LeaseLost, match="it was taken away"):
        with client.acquire("model=nuc"):
            server.take_away("nuc-01")
    with pytest.raises(ZeroDivisionError):
        with client.acquire("model=nuc") as lease:
            server.take_away("nuc-01")
            raise ZeroDivisionError
    assert lease.lost


def test_a_lease_outlives_its_ttl_and_is_lost_by_its_deadline_when_the_server_dies(program: str, tmp_path: pathlib.Path) -> None:
    server = Server(program, tmp_path)
    try:
        lost = threading.Event()
        lease = LeaseClient(server.url).acquire(ttl=3)
        lease.on_lost(lambda _: lost.set())
        until = time.monotonic() + 6  # a lock that is not kept alive is gone after 5 s
        eventually("the TTL and the grace are over", lambda: lease.lost or time.monotonic() > until)
        assert not lease.lost
        assert server.state(lease.id) == "active"
    finally:
        server.kill()
    killed = time.monotonic()
    assert lost.wait(PATIENCE)
    assert time.monotonic() - killed < 3 + 1
    assert "its time is over, and it could not be kept alive: unreachable: " in (lease.reason or "")
    with pytest.raises(leases.LeaseLost):
        lease.release()


def test_a_lease_is_lost_by_its_deadline_when_keepalives_hang(
        program: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they hang where no timeout ends them, as in a lookup of names."""
    monkeypatch.setattr(leases.LeaseClient, "_renew", lambda self, url, token, ttl: self._send("POST", url, token, timeout=60))
    server = Server(program, tmp_path)
    try:
        lost = threading.Event()
        lease = LeaseClient(server.url).acquire(ttl=3)
        lease.on_lost(lambda _: lost.set())
        os.kill(server.process.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        assert lost.wait(PATIENCE)
        assert time.monotonic() - stopped < 3 + 1
        assert lease.reason == "its time is over, and the service did not answer"
    finally:
        server.kill()


class Session:
    """A pytest session with one test file, in a process of its own."""

    def __init__(self, folder: pathlib.Path, url: str, test: str, *options: str, ini: str = "") -> None:
        (folder / "test_it.py").write_text("import json, os, pathlib, signal, time\n" + test)
        (folder / "pytest.ini").write_text("[pytest]\n" + ini)
        self.told = folder / "told.json"
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", "pytest", "-p", "leases", "-p", "no:cacheprovider", *options], cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "LEASES_URL": url, "PYTHONPATH": str(HERE), "PYTEST_ADDOPTS": ""})

    def wait(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output

    def lease(self) -> dict[str, str]:
        """What the test tells of its lease with `tell`."""
        eventually("the test tells of its lease", lambda: self.told.exists() or self.process.poll() is not None)
        assert self.told.exists(), self.wait()
        return dict(json.loads(self.told.read_text()))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


TELL = """
def tell(lease):
    new = pathlib.Path("told.new")
    new.write_text(json.dumps({"id": lease.id, "device": lease.devices[0].name}))
    new.rename("told.json")
"""


@pytest.fixture
def session(server: Server, tmp_path: pathlib.Path) -> Iterator[Callable[..., Session]]:
    started: list[Session] = []

    def start(test: str, *options: str, ini: str = "") -> Session:
        started.append(Session(tmp_path, server.url, TELL + test, *options, ini=ini))
        return started[-1]

    yield start
    for s in started:
        s.kill()


USES_LEASE = """
def test_first(lease):
    assert lease.device.connection["host"] == "192.0.2.3"
    tell(lease)

def test_second(lease):
    assert not lease.lost
"""


@pytest.mark.parametrize("how", ["option", "ini"])
def test_a_session_leases_and_releases(server: Server, session: Callable[..., Session], tmp_path: pathlib.Path, how: str) -> None:
    if how == "option":
        s = session(USES_LEASE, "--lease-selector=model=nuc", ini="lease_selector = model=rpi4")
    else:
        s = session(USES_LEASE, ini="lease_selector = model=nuc")
    code, output = s.wait()
    assert code == 0, output
    lease = read(f"{server.url}/v1/leases/{s.lease()['id']}")
    assert (lease["state"], lease["purpose"]) == ("released", f"pytest {tmp_path.name}")
    assert lease["holder"].endswith("@" + socket.gethostname())
    assert f"leased nuc-01 as {lease['id']}" in output


def test_a_session_leases_several(session: Callable[..., Session]) -> None:
    code, output = session("""
def test_it(leases, lease):
    both = leases(devices=[{"selector": "model=rpi4", "as": "a"}, {"selector": "model=nuc", "as": "b"}], ttl=60)
    assert both["b"].name == "nuc-01" and both.ttl == 60
    assert both["a"].name != lease.device.name
""", "--lease-selector=model=rpi4").wait()
    assert code == 0, output


def test_a_session_waits_in_line(client: LeaseClient, session: Callable[..., Session], server: Server) -> None:
    with client.acquire("model=nuc"):
        s = session(USES_LEASE, "--lease-selector=model=nuc")
        eventually("the session stands in line", lambda: server.leases("pending"))
    code, output = s.wait()
    assert code == 0, output
    assert "waiting for a device, number 1 of 1 in line: 1 matching device leased" in output


def test_a_session_without_a_device_says_why(client: LeaseClient, session: Callable[..., Session]) -> None:
    with client.acquire("model=nuc"):
        code, output = session(USES_LEASE, "--lease-selector=model=nuc", "--lease-wait=0").wait()
    assert code == 1
    assert "no device: none_free" in output and "2 errors" in output and "Traceback" not in output


def test_bad_options_are_refused(session: Callable[..., Session]) -> None:
    code, output = session(USES_LEASE, "--lease-wait=soon").wait()
    assert code == 4
    assert "'soon' is no time" in output


STUBBORN = """
    while True:
        try:
            time.sleep(60)
        except Exception:
            pass"""
DEAF = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); time.sleep(60)"


@pytest.mark.parametrize(("body", "how"), [
    pytest.param("time.sleep(60)", "Exit: lost", id="sleeps"),
    pytest.param(STUBBORN, "KeyboardInterrupt: lost", id="catches exceptions"),
    pytest.param(DEAF, "killed", id="blocks signals"),
])
def test_a_session_stops_when_its_lease_is_lost(server: Server, session: Callable[..., Session], body: str, how: str) -> None:
    s = session(f"""
def test_first(lease):
    tell(lease)
    {body}

def test_second():
    pathlib.Path("second").touch()
""", "--lease-selector=model=nuc")
    lease = s.lease()
    server.take_away(lease["device"])
    code, output = s.wait()
    assert code == leases.LOST_EXIT_CODE, output
    assert "lost the lease of nuc-01, which someone else may have now: lease_ended: " in output and how in output
    assert "it was taken away" in output
    assert not (s.told.parent / "second").exists()


def test_a_session_that_ends_before_it_hears_of_the_loss_fails(server: Server, session: Callable[..., Session]) -> None:
    s = session("""
def test_it(lease):
    tell(lease)
    while not os.path.exists("taken"):
        time.sleep(0.02)
""", "--lease-selector=model=nuc")
    lease = s.lease()
    server.take_away(lease["device"])
    (s.told.parent / "taken").touch()
    code, output = s.wait()
    assert code in (1, leases.LOST_EXIT_CODE), output  # 75 if a keepalive was due just then
    assert "it was taken away" in output


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 2), (signal.SIGTERM, leases.TERMINATED_EXIT_CODE)])
def test_a_session_that_is_interrupted_releases(server: Server, session: Callable[..., Session], number: int, expected: int) -> None:
    s = session("""
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it

def test_it(lease):
    tell(lease)
    time.sleep(60)
""")
    lease = s.lease()
    s.process.send_signal(number)
    code, output = s.wait()
    assert code == expected, output
    assert server.state(lease["id"]) == "released"


def test_a_session_that_is_interrupted_while_it_waits_leaves_the_line(
        server: Server, client: LeaseClient, session: Callable[..., Session]) -> None:
    with client.acquire("model=nuc"):
        s = session(USES_LEASE, "--lease-selector=model=nuc")
        eventually("the session stands in line", lambda: server.leases("pending"))
        s.process.send_signal(signal.SIGTERM)
        code, output = s.wait()
        assert code == leases.TERMINATED_EXIT_CODE, output
        assert server.leases("pending") == []
