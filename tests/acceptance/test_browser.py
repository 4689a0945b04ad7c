"""A page of another origin, in a real browser, tries every way that a page has to have a keyless gateway answer it.

Needs Chromium or Chrome on the PATH. What each way looks like on the wire is also tested without one, in
tests/gateway/test_doors.py.
"""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script

_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_REBOUND = "rebound.example"  # a name that the browser is told to find at 127.0.0.1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_BROWSER is None, reason="there is no Chromium or Chrome on the PATH"),
]

_PAGE = """<!doctype html><title>another origin</title><iframe name="inner"></iframe><script>
const gateway = location.hash.slice(1).split("|")[0], rebound = location.hash.slice(1).split("|")[1];
const chat = "/v1/chat/completions";
const body = JSON.stringify({model: "teacher", messages: [{role: "user", content: "from a page"}]});
const told = {};
async function attempt(name, ask) {
  try { const reply = await ask(); told[name] = reply.type + " " + reply.status; }
  catch (error) { told[name] = "refused"; }
}
function post(url, type, mode) {
  return fetch(url + chat, {method: "POST", mode: mode, headers: type ? {"content-type": type} : {}, body: body});
}
function form(encoding) {
  const form = document.createElement("form");
  Object.assign(form, {method: "POST", action: gateway + chat, enctype: encoding, target: "inner"});
  const field = document.createElement("input");
  field.name = body.slice(0, -1) + ', "x": "'; field.value = '"}';
  form.append(field); document.body.append(form); form.submit();
  return new Promise(done => setTimeout(() => done({type: "form", status: 0}), 1000));
}
function sandboxed() {
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  const call = "fetch(" + JSON.stringify(gateway + chat) + ", {method: 'POST', mode: 'no-cors', body: "
    + JSON.stringify(body) + "})";
  frame.srcdoc = "<script>" + call + "</scr" + "ipt>";
  document.body.append(frame);
  return new Promise(done => setTimeout(() => done({type: "frame", status: 0}), 1000));
}
(async () => {
  await attempt("json", () => post(gateway, "application/json", "cors"));
  await attempt("plain text", () => post(gateway, "text/plain", "no-cors"));
  await attempt("plain text, readable", () => post(gateway, "text/plain", "cors"));
  await attempt("no type", () => post(gateway, "", "no-cors"));
  await attempt("form", () => form("text/plain"));
  await attempt("encoded form", () => form("application/x-www-form-urlencoded"));
  await attempt("beacon", async () => {
    navigator.sendBeacon(gateway + chat, new Blob([body], {type: "text/plain"}));
    return {type: "beacon", status: 0};
  });
  await attempt("sandboxed frame", sandboxed);
  await attempt("rebound name", () => post(rebound, "text/plain", "no-cors"));
  await attempt("models", () => fetch(gateway + "/v1/models"));
  await fetch("/told", {method: "POST", body: JSON.stringify(told)});
})();
</script>"""


class _Site:
    """A web site with that page, which hears from it how its attempts went."""

    def __init__(self) -> None:
        self.told: queue.Queue[dict[str, str]] = queue.Queue()
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(_PAGE.encode())

            def do_POST(self) -> None:
                told.put(msgspec.json.decode(self.rfile.read(int(self.headers["content-length"]))))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> _Site:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def _visit(site: _Site, gateway: Running, profile: Path) -> Iterator[dict[str, str]]:
    """How the page's attempts went, by the page's own word; the browser is open meanwhile."""
    assert _BROWSER
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", "--disable-quic", f"--user-data-dir={profile}"]
    options.append(f"--host-resolver-rules=MAP {_REBOUND} 127.0.0.1")
    address = f"{site.origin}/#{gateway.url}|http://{_REBOUND}:{gateway.port}"
    process = subprocess.Popen([_BROWSER, *options, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield site.told.get(timeout=60)
    finally:
        process.terminate()
        process.wait(20)


def test_no_page_of_another_origin_is_answered(tmp_path: Path) -> None:
    with _Site() as site, Script(Act(text="secret")) as teacher:
        with Running(tmp_path, "", teacher.url, router__policy="teacher") as gateway:
            gateway.wait(lambda health: health["teacher"]["ready"])
            with _visit(site, gateway, tmp_path / "profile") as told:
                assert {told[name] for name in ("json", "plain text, readable", "models")} == {"refused"}
                assert told["plain text"] == "opaque 0"  # it was sent: that it did nothing is the gateway's doing
        assert teacher.asked == []


def test_a_page_that_is_listed_is_answered(tmp_path: Path) -> None:
    """The same page: what stops the other is the gateway, and not a mistake of the page's."""
    with _Site() as site, Script(Act(text="for you")) as teacher:
        settings = {"router__policy": "teacher", "gateway__origins": site.origin}
        with Running(tmp_path, "", teacher.url, **settings) as gateway:
            gateway.wait(lambda health: health["teacher"]["ready"])
            with _visit(site, gateway, tmp_path / "profile") as told:
                assert (told["json"], told["models"]) == ("cors 200", "cors 200")
        assert [seen.body["messages"][0]["content"] for seen in teacher.asked] == ["from a page"]
