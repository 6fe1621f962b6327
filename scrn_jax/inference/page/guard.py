"""Whom the page's server answers: requests for this machine by its own names, from its own page.

Any site that somebody visits can send requests to their loopback interface, and a name of its own may lead there (DNS
rebinding). So a foreign Host is refused, and so is what a foreign page sends.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    # Nothing is loaded from, sent to or shown by anybody else.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def host_name(authority: str) -> str | None:
    """The name in a Host header `name:port` or `[address]:port`, in lower case; None when it is no such thing."""
    try:
        parts = urlsplit(f"//{authority}")
        if parts.path or parts.query or parts.fragment or parts.username is not None or parts.port == -1:
            return None
        return parts.hostname
    except ValueError:
        return None


def _authority(origin: str) -> str | None:
    """What of an Origin header names a server, in lower case; None when it is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether an address or name to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Middleware: refuses foreign hosts and origins, and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] = ()):
        self._app, self._hosts = app, {host.lower() for host in (*LOOPBACK, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal:
            return await JSONResponse({"error": refusal}, 403)(scope, receive, send_with_headers)
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> str | None:
        headers: dict[str, list[str]] = {}
        for key, value in scope["headers"]:
            headers.setdefault(key.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or host_name(hosts[0]) not in self._hosts:
            return "this server does not answer to that name; open it as http://127.0.0.1, or name it with --hosts"
        for origin in headers.get("origin", []):
            # Another port of this machine is another page, which may be anybody's.
            if _authority(origin) != hosts[0].lower():
                return "the request comes from another page; open this one anew"
        if headers.get("sec-fetch-site", ["same-origin"])[0] == "cross-site" and scope["method"] != "GET":
            return "the request comes from another page; open this one anew"
        return None
