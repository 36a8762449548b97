"""Lease test hardware from an automation-infra lab: a client, and a pytest plugin.

    from leases import LeaseClient

    with LeaseClient().acquire("model=rpi4", wait=600) as lease:
        connect(lease.device.connection["host"])

The plugin, loaded by `pytest -p leases`, has the fixtures `lease` and `leases`. Python 3.11 and its standard library are enough.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import hashlib
import http.client
import json
import logging
import os
import random
import re
import secrets
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Device", "Forbidden", "Invalid", "Lease", "LeaseClient", "LeaseEnded", "LeaseError", "LeaseLost", "NoMatch", "NoneFree",
    "NotFound", "QuotaExceeded", "Unavailable", "Unreachable",
]

LONGEST_POLL = 30.0  # seconds that one request waits in line
REQUEST_TIMEOUT = 10.0  # seconds that a request which does not wait may take
RELEASE_PATIENCE = 10.0  # seconds for which a release is repeated; after that, the lease ends by itself
LONGEST_PAUSE = 5.0  # seconds between repetitions, unless the service asks for more

log = logging.getLogger("leases")


class LeaseError(Exception):
    """What went wrong: `code` is stable, to decide by; `detail` is for people; `status` is that of HTTP, None without a reply.

    `retry_after` is in seconds, where the service said so; `ended_reason` is why a lease ended, where it did.
    """

    def __init__(self, code: str, detail: str, status: int | None = None, retry_after: float | None = None,
                 ended_reason: str | None = None) -> None:
        super().__init__(code, detail, status, retry_after, ended_reason)
        self.code = code
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.ended_reason = ended_reason

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class NoneFree(LeaseError):
    """Devices match, but none was to be had: at once, or before the wait was over."""


class QuotaExceeded(LeaseError):
    """The pool allows a holder, or a lease, no more than this."""


class NoMatch(LeaseError):
    """No device of the pool can ever satisfy the request."""


class Invalid(LeaseError):
    """The request breaks a rule; the detail says which."""


class Forbidden(LeaseError):
    """The token is not that of the lease."""


class NotFound(LeaseError):
    """There is no such lease."""


class LeaseEnded(LeaseError):
    """The lease is over; `ended_reason` is released, expired, deadline, revoked, abandoned or store_lost."""


class LeaseLost(LeaseEnded):
    """A lease that was held is not ours any more: someone else may have its devices."""


class Unavailable(LeaseError):
    """The service can't answer now. Nothing is known; what was asked may have been done."""


class Unreachable(Unavailable):
    """There was no reply, or none that makes sense."""


_KINDS: dict[str, type[LeaseError]] = {
    "none_free": NoneFree, "quota_exceeded": QuotaExceeded, "no_match": NoMatch, "invalid": Invalid, "forbidden": Forbidden,
    "not_found": NotFound, "lease_ended": LeaseEnded, "store_unavailable": Unavailable,
    "not_replicated": Unavailable, "overloaded": Unavailable,
}
_OVER = {403, 404, 410}  # statuses that say of a lease that it is not ours


class _Token(str):
    """The secret of a lease, which is not shown in tracebacks and debuggers."""

    def __repr__(self) -> str:
        return "[redacted]"


class _Private(dict[str, Any]):
    """A dict whose values are not shown, only its keys."""

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{key!r}: [redacted]" for key in self) + "}"


class _Reply(_Private):
    """What the service answered with 2xx. Whatever it says of remaining time was still to come when it was `sent`."""

    def __init__(self, sent: float, body: Mapping[str, Any]) -> None:
        super().__init__(body)
        self.sent = sent


@dataclass(frozen=True)
class Device:
    """A leased device. `as_` is the name that its demand gave it; `connection` is how to reach it, and not in its repr."""

    name: str
    as_: str | None
    labels: dict[str, str]
    attributes: dict[str, str]
    connection: dict[str, Any] = field(repr=False)


class LeaseClient:
    """Asks the allocator at `url`: LEASES_URL of the environment unless given, else http://localhost:8080.

    Whatever may be repeated safely is, for up to `patience` seconds, when there is no reply or 503, with growing pauses and never
    before its Retry-After is over. A client may be used by several threads.
    """

    def __init__(self, url: str | None = None, patience: float = 30.0) -> None:
        self.url = (url or os.environ.get("LEASES_URL") or "http://localhost:8080").rstrip("/")
        self.patience = patience
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"{self.url!r} is no URL of an allocator, such as http://localhost:8080")

    def __repr__(self) -> str:
        return f"LeaseClient({self.url!r})"

    def acquire(self, selector: str | None = None, name: str | None = None, devices: Sequence[Mapping[str, Any]] | None = None,
                pool: str | None = None, holder: str | None = None, purpose: str | None = None, link: str | None = None,
                priority: int | None = None, ttl: int | None = None, wait: float | None = None,
                on_queue: Callable[[dict[str, Any]], object] | None = None) -> Lease:
        """Returns a lease that is ours and is kept alive from now on, until it is released.

        `selector` or `name` asks for one device; `devices` for several, as a list of dicts with `selector`, `name`, `count` and `as`.
        The rest is as in the API; `ttl` and `wait` are in seconds.

        Without `wait`, raises NoneFree if there is no device now. With it, stands in line that long, calls `on_queue` with the place
        (`place`, `length`, `reason`, ...) at first and about every 30 s, and then raises NoneFree. A request that could never be
        satisfied raises NoMatch, QuotaExceeded or Invalid. When this raises anything, KeyboardInterrupt too, the place in line and
        whatever was granted are given back, unless the service can't be reached: then they end by themselves.
        """
        wanted = {"selector": selector, "name": name, "devices": None if devices is None else [dict(d) for d in devices],
                  "pool": pool, "holder": holder, "purpose": purpose, "link": link, "priority": priority, "ttl_seconds": ttl}
        wanted = {key: value for key, value in wanted.items() if value is not None}
        over = time.monotonic() + (wait or self.patience)
        while True:
            try:
                return self._acquire(wanted, wait or 0, over, on_queue)
            except LeaseEnded:  # the service was away for so long that the place, or the lease, was dropped
                if not wait or time.monotonic() >= over:
                    raise

    def keepalive(self, lease: Lease) -> None:
        """Keeps a lease alive, once; a lease does so by itself.

        Raises LeaseLost when it is lost already, LeaseEnded, Forbidden or NotFound when the service says so, which makes it lost,
        and Unavailable when that is not known.
        """
        lease._check()
        try:
            lease._renewed(self._renew(lease.keepalive_url, lease._token, lease.ttl))
        except LeaseError as e:
            if e.status in _OVER:
                lease._lose(str(e))
            raise

    def release(self, lease: Lease) -> None:
        """Gives a lease back: its devices are free at once. Doing so again is no error.

        Raises LeaseLost if the lease was over before, so that whatever was done with its devices may have met another holder, and
        Unavailable if the service could not be told; the lease then ends by itself, since it is kept alive no longer.
        """
        if not lease._close():
            return
        until = min(lease._deadline, time.monotonic() + RELEASE_PATIENCE)
        try:
            _repeat(lambda: self._delete(lease.id, lease._token), until)
        except LeaseError as e:
            if e.status not in _OVER:
                raise
            lease._lose(str(e), closed=True)
            lease._check()
        lease._released = True

    def get(self, lease: Lease | str) -> dict[str, Any]:
        """Returns a lease, given it or its id, as everyone sees it: without connections."""
        url = self._lease_url(lease if isinstance(lease, str) else lease.id)
        return dict(_repeat(lambda: self._send("GET", url), time.monotonic() + self.patience))

    def _acquire(self, wanted: dict[str, Any], wait: float, over: float,
                 on_queue: Callable[[dict[str, Any]], object] | None) -> Lease:
        token = _Token(secrets.token_urlsafe(24))
        try:
            granted = self._granted(token, wanted, wait, over, on_queue)
            return Lease(self, token, granted, self._fresh(token, granted))
        except BaseException as e:
            if not (isinstance(e, NoneFree) and e.status == 429):  # which has made nothing
                self._give_up(token, wanted)
            raise

    def _granted(self, token: _Token, wanted: dict[str, Any], wait: float, over: float,
                 on_queue: Callable[[dict[str, Any]], object] | None) -> _Reply:
        """Asks until the lease is granted. Each request is the same one, with the same token, so losing a reply loses nothing."""
        if not wait:
            return _repeat(lambda: self._post(token, wanted), over)
        until = 0.0  # the first reply comes at once
        while True:
            reply = _repeat(lambda: self._post(token, wanted, until), over, (Unavailable, QuotaExceeded))
            if reply["state"] != "pending":
                return reply
            queue = dict(reply["queue"])
            if on_queue:
                on_queue(queue)
            left = over - time.monotonic()
            if left <= 0:
                raise NoneFree("none_free", f"waited {wait:g} s, and is number {queue['place']} in line: {queue['reason']}", 202)
            if time.monotonic() < min(until, reply.sent + LONGEST_POLL) - 1:
                time.sleep(min(1.0, left))  # a service that stops answers early
            until = over

    def _fresh(self, token: _Token, granted: _Reply) -> _Reply:
        """Returns a reply whose time of sending tells until when the lease is ours: the grant, or if that was long under way, a
        keepalive after it."""
        ttl = granted["ttl_seconds"]
        if time.monotonic() - granted.sent + ttl - granted["remaining_seconds"] < ttl / 3:
            return granted
        return _repeat(lambda: self._renew(granted["keepalive_url"], token, ttl), time.monotonic() + ttl)

    def _give_up(self, token: _Token, wanted: dict[str, Any]) -> None:
        """Releases what the service may have for the token. The id is made of it: docs/adr/0001-token-derived-ids.md."""
        fingerprint = base64.b32encode(hashlib.sha256(token.encode()).digest()).decode().lower()[:26]
        lease_id = f"{wanted.get('pool', 'default')}-{fingerprint}"
        try:
            _repeat(lambda: self._delete(lease_id, token), time.monotonic() + 2)
        except Unavailable as e:
            log.warning("lease %s, if there is one, is not given back, and ends by itself: %s", lease_id, e)
        except LeaseError:
            pass  # there is none

    def _post(self, token: _Token, wanted: dict[str, Any], until: float | None = None) -> _Reply:
        if until is None:
            return self._send("POST", self.url + "/v1/leases", token, wanted)
        wait = min(LONGEST_POLL, max(0.0, until - time.monotonic()))
        url = f"{self.url}/v1/leases?wait={int(wait * 1000)}ms"
        return self._send("POST", url, token, wanted, REQUEST_TIMEOUT + wait)

    def _renew(self, url: str, token: _Token, ttl: int) -> _Reply:
        return self._send("POST", url, token, timeout=max(1.0, min(REQUEST_TIMEOUT, ttl / 3)))

    def _delete(self, lease_id: str, token: _Token) -> _Reply:
        return self._send("DELETE", self._lease_url(lease_id), token, timeout=RELEASE_PATIENCE / 2)

    def _lease_url(self, lease_id: str) -> str:
        return f"{self.url}/v1/leases/{urllib.parse.quote(lease_id, safe='')}"

    def _send(self, method: str, url: str, token: _Token | None = None, body: dict[str, Any] | None = None,
              timeout: float = REQUEST_TIMEOUT) -> _Reply:
        """Sends one request. Raises LeaseError for any status but 2xx, and Unreachable when there is no reply.

        Causes are not chained: the frames of the standard library have the token in plain text.
        """
        request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), method=method)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Lease-Token", token)
        sent = time.monotonic()
        try:
            with _opener.open(request, timeout=timeout) as response:
                if response.status == 204:
                    return _Reply(sent, {})
                return _Reply(sent, json.load(response, object_hook=_Private if token else None))
        except urllib.error.HTTPError as e:
            raise _problem(e) from None
        except (OSError, http.client.HTTPException, ValueError, TypeError) as e:
            why = getattr(e, "reason", None) or e
            raise Unreachable("unreachable", f"{method} {url}: {why}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error: it would take the token elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _problem(e: urllib.error.HTTPError) -> LeaseError:
    """The error of a reply that is not 2xx, also of one that does not come from the service but from what is in between."""
    try:
        body = json.load(e)
    except (OSError, http.client.HTTPException, ValueError):
        body = None
    finally:
        e.close()
    if not isinstance(body, dict):
        body = {}
    code = body.get("code") or ("store_unavailable" if e.code in (502, 503, 504) else "unexpected")
    retry_after = e.headers.get("Retry-After", "")
    return _KINDS.get(code, LeaseError)(
        code, body.get("detail") or f"{e.code} {e.reason}", e.code, float(retry_after) if retry_after.isdecimal() else None,
        body.get("ended_reason"))


def _repeat(call: Callable[[], _Reply], until: float, passing: tuple[type[LeaseError], ...] = (Unavailable,)) -> _Reply:
    """Calls until it succeeds, after the pauses that passing errors ask for; raises the error when the next would be too late."""
    pauses = _pauses()
    while True:
        try:
            return call()
        except passing as e:
            if e.retry_after is None and not isinstance(e, Unavailable):
                raise
            pause = max(next(pauses), e.retry_after or 0)
            if time.monotonic() + pause > until:
                raise
        time.sleep(pause)


def _pauses() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause * random.uniform(0.5, 1)
        pause = min(2 * pause, LONGEST_PAUSE)


class Lease:
    """A lease that is ours, until it is released or `lost`. LeaseClient.acquire makes it.

    A thread keeps it alive about every third of its TTL. It is lost as soon as the service says that it is over, and at the latest
    when its TTL has passed on this machine's monotonic clock since the last successful keepalive was sent, which is before the service
    gives its devices to anyone else. Neither `lost` nor a callback waits for a reply.

    As a context manager it is released at the end; leaving the block normally means that it was ours all the time.
    """

    def __init__(self, client: LeaseClient, token: _Token, granted: _Reply, renewal: _Reply) -> None:
        self.id: str = granted["id"]
        self.pool: str = granted["pool"]
        self.fence: int = granted["fence"]
        self.ttl: int = granted["ttl_seconds"]
        self.keepalive_url: str = granted["keepalive_url"]
        self.devices: list[Device] = [
            Device(d["name"], d.get("as"), dict(d["labels"]), dict(d["attributes"]), d.get("connection", _Private()))
            for d in granted["devices"]
        ]
        self._client = client
        self._token = token
        self._changed = threading.Condition()
        self._callbacks: list[Callable[[Lease], object]] = []
        self._deadline = renewal.sent + renewal["remaining_seconds"]
        self._trouble = ""  # why it is not kept alive, as far as is known
        self._reason: str | None = None
        self._told = False  # the callbacks that were there when it was lost
        self._closed = False  # it is kept alive no longer
        self._released = False
        for work in (self._keep, self._watch):
            threading.Thread(target=work, name=f"{work.__name__} {self.id}", daemon=True).start()

    def __repr__(self) -> str:
        state = "lost" if self.lost else "released" if self._closed else "held"
        return f"<Lease {self.id} of {', '.join(d.name for d in self.devices)}, {state}>"

    @property
    def device(self) -> Device:
        """The only device. Raises LookupError when there are several."""
        return _only(self.devices, "the lease")

    def __getitem__(self, as_: str) -> Device:
        """The only device of the demand with this `as`. Raises LookupError when there is none, or more than one."""
        return _only([d for d in self.devices if d.as_ == as_], f"demand {as_!r}")

    @property
    def lost(self) -> bool:
        """Whether it stopped being ours before it was released. Once true, it stays so."""
        with self._changed:
            return not self._settle() and self._reason is not None

    @property
    def reason(self) -> str | None:
        """Why it is lost; None when it is not."""
        return self._reason if self.lost else None

    def on_lost(self, callback: Callable[[Lease], object]) -> None:
        """Has `callback` called once, with the lease, when it is lost: by a thread of the lease, or at once if it is lost already."""
        with self._changed:
            if not self._told:
                self._callbacks.append(callback)
                return
        callback(self)

    def keepalive(self) -> None:
        """As LeaseClient.keepalive."""
        self._client.keepalive(self)

    def release(self) -> None:
        """As LeaseClient.release."""
        self._client.release(self)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Releases it. Raises LeaseLost if it was lost, but never hides an exception of the block."""
        try:
            self.release()
        except Unavailable as e:
            log.warning("lease %s is not released, and ends by itself: %s", self.id, e)
        except LeaseError as e:
            if kind is None:
                raise
            log.warning("%s", e)

    def _settle(self) -> bool:
        """Whether it is to be kept alive: neither lost nor closed. Past its deadline it becomes lost. The lock must be held."""
        if not self._closed and self._reason is None and time.monotonic() >= self._deadline:
            self._reason = "its time is over" + self._trouble
            self._changed.notify_all()
        return not self._closed and self._reason is None

    def _check(self) -> None:
        if self.lost:
            raise LeaseLost("lease_lost", f"lease {self.id} is lost: {self._reason}")

    def _close(self) -> bool:
        """Ends keeping it alive, and says whether it is still to be released. Raises LeaseLost if it is lost."""
        self._check()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return not self._released

    def _lose(self, reason: str, closed: bool = False) -> None:
        with self._changed:
            if self._reason is None and self._closed == closed:
                self._reason = reason
                self._changed.notify_all()

    def _renewed(self, renewal: _Reply) -> None:
        with self._changed:
            if self._settle():  # what is lost stays lost
                self._deadline = max(self._deadline, renewal.sent + renewal["remaining_seconds"])
                self._trouble = ""
                self._changed.notify_all()

    def _keep(self) -> None:
        """Keeps it alive until it is lost or closed; after a failure, again soon."""
        pauses = _pauses()
        pause = self._third()
        while self._open_after(pause):
            self._trouble = self._trouble or ", and the service did not answer"
            try:
                self.keepalive()
            except LeaseError as e:
                self._trouble = f", and it could not be kept alive: {e}"
                pause = min(self._third(), max(next(pauses), e.retry_after or 0))
            else:
                pauses, pause = _pauses(), self._third()

    def _third(self) -> float:
        return self.ttl / 3 * random.uniform(0.8, 1)

    def _open_after(self, pause: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: not self._settle(), pause)
            return self._settle()

    def _watch(self) -> None:
        """Calls the callbacks when it is lost. A thread of its own, so that it does so while a keepalive gets no reply."""
        with self._changed:
            while self._settle():
                self._changed.wait(self._deadline - time.monotonic())
            if self._reason is None:
                return
            self._told = True
        for callback in self._callbacks:
            callback(self)


def _only(devices: list[Device], of: str) -> Device:
    if len(devices) != 1:
        raise LookupError(f"{of} has {len(devices)} devices")
    return devices[0]


# The pytest plugin.

LOST_EXIT_CODE = 75  # of a session whose lease was lost; EX_TEMPFAIL of sysexits.h
TERMINATED_EXIT_CODE = 128 + signal.SIGTERM
LAST_RESORT = 2.0  # seconds after which a session that does not stop is ended; as long as a lock outlives its lease
_PLUGIN = "leases of the session"


def pytest_addoption(parser: Any) -> None:
    group = parser.getgroup("leases", "leased devices; the allocator is at LEASES_URL")
    group.addoption("--lease-selector", metavar="SELECTOR", help="which device the fixture lease is to have, such as model=rpi4")
    group.addoption("--lease-wait", metavar="TIME", type=_seconds, default="10m",
                    help="how long to wait in line for it, such as 90s, 10m or 0 (default: 10m)")
    parser.addini("lease_selector", "which device the fixture lease is to have, unless --lease-selector says so", default="")


def pytest_configure(config: Any) -> None:
    import pytest

    for hook in (_Session.pytest_keyboard_interrupt, _Session.pytest_sessionfinish):
        pytest.hookimpl(tryfirst=True)(hook)  # before a report is written, which takes its time and must not be interrupted
    config.pluginmanager.register(_Session(config), _PLUGIN)


class _Session:
    """The leases of a pytest session, which ends with the first that is lost."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._leases: list[Lease] = []
        self._lost: str | None = None  # why the session has to stop
        self._interrupts = 0
        self._ending = threading.Event()  # pytest is about to end the session
        self._before: Any = None  # what handled SIGTERM before
        self._stderr: int | None = None

    def pytest_sessionstart(self) -> None:
        self._stderr = os.dup(2)  # while it is not captured

    def pytest_keyboard_interrupt(self) -> None:
        self._ending.set()

    def pytest_sessionfinish(self, session: Any) -> None:
        self._ending.set()
        if self._lost:
            session.exitstatus = LOST_EXIT_CODE

    def pytest_unconfigure(self) -> None:
        try:
            self.release()
        except LeaseError as e:
            log.warning("%s", e)
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        if self._stderr is not None:
            os.close(self._stderr)

    def handle_signal(self) -> None:
        """Makes SIGTERM end the session in good order. Threads of leases send it, since nothing else stops what blocks."""
        self._before = signal.signal(signal.SIGTERM, self._interrupt) or signal.SIG_DFL

    def acquire(self, selector: str | None = None, **wanted: Any) -> Lease:
        """LeaseClient.acquire with the defaults of the session; the session stops if the lease is lost."""
        if not (selector or wanted.get("name") or wanted.get("devices")):
            selector = self._config.getoption("lease_selector") or self._config.getini("lease_selector") or None
        defaults = {"wait": self._config.getoption("lease_wait"), "holder": _holder(), "on_queue": self._report_place,
                    "purpose": _printable(f"pytest {self._config.rootpath.name}", 256)}
        lease = LeaseClient().acquire(selector, **(defaults | wanted))
        self._leases.append(lease)
        self._report(f"leased {', '.join(d.name for d in lease.devices)} as {lease.id}")
        lease.on_lost(self._stop)
        return lease

    def release(self) -> None:
        """Releases all leases. Raises LeaseLost if one was lost, unless the session stops for that already."""
        error: LeaseError | None = None
        while self._leases:
            try:
                self._leases[-1].__exit__(None)
            except LeaseError as e:
                error = e
            self._leases.pop()
        if error and not self._lost:
            raise error

    def _stop(self, lease: Lease) -> None:
        """Interrupts the main thread until it ends the session, and ends the process if it does not."""
        self._lost = f"lost the lease of {', '.join(d.name for d in lease.devices)}, which someone else may have now: {lease.reason}"
        end = time.monotonic() + LAST_RESORT
        while time.monotonic() < end:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            if self._ending.wait(LAST_RESORT / 2):
                return
        os.write(self._stderr or 2, f"\npytest: {self._lost}; killed, since it did not stop\n".encode())
        os._exit(LOST_EXIT_CODE)

    def _interrupt(self, *_: object) -> None:
        import pytest

        if self._ending.is_set():
            return
        if self._lost is None:
            pytest.exit("terminated by SIGTERM", TERMINATED_EXIT_CODE)
        self._interrupts += 1
        if self._interrupts == 1:
            pytest.exit(self._lost, LOST_EXIT_CODE)
        raise KeyboardInterrupt(self._lost)  # a test has caught the first, which is an Exception

    def _report_place(self, queue: dict[str, Any]) -> None:
        self._report(f"waiting for a device, number {queue['place']} of {queue['length']} in line: {queue['reason']}")

    def _report(self, line: str) -> None:
        """Writes a line to the terminal, past the capture of output."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if terminal is None or capture is None:
            return
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(line)


def _seconds(text: str) -> float:
    """Reads 90, 90s, 10m or 1h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time, such as 90s, 10m or 0")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def _holder() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    return _printable(f"{user}@{socket.gethostname()}", 128)


def _printable(text: str, longest: int) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", "?", text)[:longest]


if "pytest" in sys.modules:  # the client alone does without
    import pytest

    @pytest.fixture(scope="session")
    def leases(pytestconfig: Any) -> Iterator[Callable[..., Lease]]:
        """Leases devices for the rest of the session: takes the arguments of LeaseClient.acquire, and returns a Lease.

        Ask for all devices at once, with `devices`, where you can: two sessions that each hold one and wait for another wait in vain.
        """
        session = pytestconfig.pluginmanager.get_plugin(_PLUGIN)
        session.handle_signal()
        yield session.acquire
        try:
            session.release()
        except LeaseError as e:
            pytest.fail(str(e), pytrace=False)

    @pytest.fixture(scope="session")
    def lease(leases: Callable[..., Lease]) -> Lease:
        """A lease of the device that --lease-selector or the ini option lease_selector asks for, any device unless they do."""
        try:
            return leases()
        except LeaseError as e:
            pytest.fail(f"no device: {e}", pytrace=False)
