"""The gate in front of every address of the page: sessions, login, headers that let the browser load nothing else.

Gradio's own login does not cover addresses that stand beside it, so the gate does, for all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from importlib import resources
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.sessions import Session
from fedpsma.errors import InputError

# Gradio evaluates its templates in the browser, so 'unsafe-eval' has to stay.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; "
        "object-src 'none'; base-uri 'self'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Nothing to others; with "no-referrer" a browser would hide the origin of the login form too.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
COOKIE = "fedpsma_session"
LOGIN_PATH = "/fp/login"
# The page takes files through an address of its own, with a limit and a look at the content.
_CLOSED = ("/gradio_api/upload", "/upload", "/gradio_api/mcp", "/monitoring")
_LOOPBACK = {"127.0.0.1", "localhost"}
_IDLE_S = 12 * 3600.0
_MOST_SESSIONS = 200
_WAIT_AFTER_WRONG_S = 2.0
_LARGEST_FORM = 4096
_ROUNDS = 200_000


@dataclass(frozen=True)
class Account:
    """The one user of a page with a login; only a salted hash of the password is kept."""

    user: str
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, user: str, password: str) -> Account:
        """Make an account.

        Raises:
            InputError: The password is shorter than eight letters.
        """
        if len(password) < 8:
            raise InputError("is shorter than 8 letters", where="the password", remedy="choose a longer one")
        salt = secrets.token_bytes(16)
        return cls(user, salt, _hashed(password, salt))

    def admits(self, user: str, password: str) -> bool:
        """Whether name and password are right; takes the same time either way."""
        same = hmac.compare_digest(_hashed(password, self.salt), self.digest)
        return hmac.compare_digest(user.encode("utf-8"), self.user.encode("utf-8")) and same


def read_password(path: Path) -> str:
    """Read a password from a file that only its owner may read.

    Raises:
        InputError: The file is missing, or others may read it.
    """
    if not path.is_file():
        raise InputError("does not exist", where=str(path), remedy="write the password into it")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError("can be read by others", where=str(path), remedy=f"run chmod 600 {path}")
    return path.read_text("utf-8").strip()


@dataclass
class Sessions:
    """The browsers that are there, each by a random cookie; those that were away too long are forgotten."""

    on_leave: Callable[[Session], None]
    _known: OrderedDict[str, tuple[Session, float]] = field(default_factory=OrderedDict)

    def begin(self, user: str) -> tuple[str, Session]:
        """Begin a session and return its cookie."""
        cookie = secrets.token_urlsafe(32)
        session = Session(secrets.token_hex(8), user)
        self._known[cookie] = (session, time.monotonic())
        while len(self._known) > _MOST_SESSIONS:
            self.end(next(iter(self._known)))
        return cookie, session

    def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie, ``None`` where there is none (any more)."""
        found = self._known.get(cookie)
        if found is None:
            return None
        if time.monotonic() - found[1] > _IDLE_S:
            self.end(cookie)
            return None
        self._known[cookie] = (found[0], time.monotonic())
        self._known.move_to_end(cookie)
        return found[0]

    def end(self, cookie: str) -> None:
        """End a session; what it had open is closed."""
        session, _ = self._known.pop(cookie, (None, 0.0))
        if session is not None:
            self.on_leave(session)


class Gate:
    """Lets a request through to the page only with a session, and puts the headers on every answer.

    Args:
        application: The page.
        sessions: The browsers that are there.
        account: Who may come in; without one, whoever reaches this machine's own address.
    """

    def __init__(self, application: ASGIApp, sessions: Sessions, account: Account | None = None) -> None:
        self._application = application
        self._sessions = sessions
        self._account = account
        self._wrong_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        cookie = _cookie(connection)
        session = self._sessions.find(cookie) if cookie else None
        refused = _refusal(connection)
        begun = ""
        if refused is None and scope["path"] == LOGIN_PATH and self._account is not None:
            refused = await self._login(Request(scope, receive), self._account)
        elif refused is None and session is None:
            if self._account is not None:
                refused = _stranger(scope["path"])
            elif scope["path"] == "/":
                begun, session = self._sessions.begin("reader")
        scope["fedpsma_session"] = session
        answer = self._application if refused is None else refused
        await answer(scope, receive, _with_headers(send, begun))

    async def _login(self, request: Request, account: Account) -> Response:
        if request.method != "POST":
            return HTMLResponse(_login_page(""))
        if time.monotonic() < self._wrong_until:
            return HTMLResponse(_login_page("Too many attempts: wait a moment."), 429)
        form = parse_qs((await _small_body(request)).decode("utf-8", "replace"))
        user, password = (form.get(name, [""])[0] for name in ("user", "password"))
        if not account.admits(user, password):
            self._wrong_until = time.monotonic() + _WAIT_AFTER_WRONG_S
            return HTMLResponse(_login_page("Name or password is wrong."), 401)
        cookie, _ = self._sessions.begin(account.user)
        response = RedirectResponse("/", 303)
        response.headers["Set-Cookie"] = _set_cookie(cookie)
        return response


def _hashed(password: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode("utf-8"), salt, _ROUNDS)


def _cookie(connection: HTTPConnection) -> str:
    jar = SimpleCookie(connection.headers.get("cookie", ""))
    return jar[COOKIE].value if COOKIE in jar else ""


def _set_cookie(value: str) -> str:
    return f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict"


def _refusal(connection: HTTPConnection) -> Response | None:
    """Refuse another host's name (a trick to reach this machine from a foreign page), foreign posts, closed doors."""
    host = connection.headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in _LOOPBACK:
        return PlainTextResponse("unknown host", 400)
    origin = connection.headers.get("origin")
    if origin and urlsplit(origin).netloc != host:
        return PlainTextResponse("foreign origin", 403)
    path = connection.scope["path"].rstrip("/")
    return PlainTextResponse("not found", 404) if path in _CLOSED else None


def _stranger(path: str) -> Response:
    return RedirectResponse(LOGIN_PATH, 303) if path == "/" else PlainTextResponse("log in first", 401)


async def _small_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            return b""
    return body


def _login_page(problem: str) -> str:
    page = resources.files("demo").joinpath("client", "login.html").read_text("utf-8")
    return page.replace("{{problem}}", f'<p role="alert">{problem}</p>' if problem else "")


def _with_headers(send: Send, begun: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [*message["headers"], *(one for one in extra if one[0] not in there)]
            if begun:
                message["headers"].append((b"set-cookie", _set_cookie(begun).encode()))
        await send(message)

    return sending
