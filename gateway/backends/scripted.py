"""A stand-in model server that plays a script, for tests and benchmarks of everything that talks to a backend.

Contract: it is an OpenAI-compatible endpoint on a real socket (TCP or Unix), written on bare asyncio so that it can
misbehave at the level of bytes. It takes any POST to /v1/chat/completions or /v1/embeddings and answers with the next
`Act` of its script (the last one is repeated), or with what a function there makes of the request's body; an embedding
is the length of its text. GET /v1/models lists one model, GET /health is 200, and the adapter calls say yes. Every
request it got is kept in `seen`, and whether its connection closed early. Ids of tool calls count on through a
conversation. It knows no language.

As a process: `python -m gateway.backends.scripted (--port N | --socket PATH) [--text TEXT | --echo] [--pieces N]
[--delay SECONDS] [--pause SECONDS]`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.backends.stream import DONE, as_events
from router.chat import (
    AnswerMessage,
    ChatResponse,
    Choice,
    ChoiceLogprobs,
    FunctionCall,
    TokenLogprob,
    ToolCall,
    Usage,
)


class Act(msgspec.Struct, frozen=True):
    """One answer. `calls` are (name, arguments as JSON text) pairs, `logprob` that of every token, None: not given;
    `thoughts` come before the text. With `echo` the text is that of the request's last message.

    Faults: `status` other than 200 with `body`; `delay` seconds before the first byte; `hang`: never answer;
    `cut`: close after so many bytes of the body; `stall`: fall silent after so many bytes; `raw`: these bytes as the
    body of a 200, a list of them one after the other; `drop`: close at once. `pause` is the time between two events of
    a stream.
    """

    text: str = ""
    echo: bool = False
    thoughts: str = ""
    calls: list[tuple[str, str]] = []
    logprob: float | None = -0.01
    finish: str = ""
    status: int = 200
    body: bytes = b'{"error":{"message":"scripted failure","type":"server_error","code":null}}'
    headers: dict[str, str] = {}
    delay: float = 0.0
    pause: float = 0.0
    hang: bool = False
    drop: bool = False
    cut: int | None = None
    stall: int | None = None
    raw: bytes | list[bytes] | None = None
    pieces: int = 1  # the text of a stream is cut into so many events


Play = Act | Callable[[dict[str, Any]], Act]
"""An entry of a script."""


class Seen(msgspec.Struct):
    """A request that came in. `gone` is whether the caller closed before the answer was out."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    gone: bool = False


class ScriptedServer:
    """Serves a script until `stop`. `port` is known after `start`; with `path` it listens on a Unix socket.

    `keep` is how many of the latest requests stay in `seen`; None: all. `refuses` is why it loads no adapter, "": it
    loads any.
    """

    def __init__(self, *acts: Play, model: str = "scripted", keep: int | None = None) -> None:
        self.script: list[Play] = list(acts) or [Act(text="Hello.")]
        self.model = model
        self.seen: deque[Seen] = deque(maxlen=keep)
        self.port = 0
        self.refuses = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def asked(self) -> list[Seen]:
        """The chat completions among what came in, without the question a gateway asks to learn what this can do."""
        return [seen for seen in self.seen if seen.path.endswith("/chat/completions") and not _is_probe(seen.body)]

    def play(self, *acts: Play) -> None:
        """A new script from here on."""
        self.script = list(acts)

    async def start(self, port: int = 0, path: str = "") -> None:
        if path:
            self._server = await asyncio.start_unix_server(self._serve, path)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=1024)
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()

    async def __aenter__(self) -> ScriptedServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection may be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(path, headers, msgspec.json.decode(raw) if raw else {})
        self.seen.append(seen)
        if method == "POST" and path.endswith(("/chat/completions", "/embeddings")):
            act = Act(text="Hi") if _is_probe(seen.body) else self._next(seen.body)
            return await self._watched(self._answer(act, seen, writer), reader, seen)
        if self.refuses and path.endswith("/load_lora_adapter"):
            writer.write(_response(400, msgspec.json.encode({"error": {"message": self.refuses}})))
            await writer.drain()
            return True
        listed = {"object": "list", "data": [{"id": self.model, "object": "model"}]}
        writer.write(_response(200, msgspec.json.encode(listed)))
        await writer.drain()
        return True

    def _next(self, body: dict[str, Any]) -> Act:
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return entry if isinstance(entry, Act) else entry(body)

    async def _watched(self, answer: Any, reader: asyncio.StreamReader, seen: Seen) -> bool:
        """Run the answer, and note it when the caller goes away meanwhile."""
        work = asyncio.ensure_future(answer)
        while not work.done():
            await asyncio.wait([work], timeout=0.02)
            if (reader.at_eof() or reader.exception()) and not work.done():  # closed, or reset
                seen.gone = True
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                return False
        return bool(work.result())

    async def _answer(self, act: Act, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(act.delay)
        if act.hang:
            await asyncio.Event().wait()
        if act.drop:
            writer.transport.abort()
            return False
        if act.status != 200:
            writer.write(_response(act.status, act.body, act.headers))
        elif seen.body.get("stream"):
            return await self._stream(act, seen, writer)
        else:
            content = b"".join(self._body(act, seen))
            head = _response(200, b"", length=len(content))
            if act.cut is not None or act.stall is not None:
                writer.write(head + content[: act.cut if act.cut is not None else act.stall])
                return await self._end_early(act, writer)
            writer.write(head + content)
        await writer.drain()
        return True

    async def _stream(self, act: Act, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        left = act.cut if act.cut is not None else act.stall
        for event in self._body(act, seen):
            part = event if left is None else event[:left]
            if part:
                writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                await writer.drain()
            if left is not None:
                left -= len(part)
                if left <= 0:
                    return await self._end_early(act, writer)
            await asyncio.sleep(act.pause)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _body(self, act: Act, seen: Seen) -> list[bytes]:
        """What is sent, in the pieces it is sent in."""
        body = seen.body
        if act.raw is not None:
            return act.raw if isinstance(act.raw, list) else [act.raw]
        if seen.path.endswith("/embeddings"):
            return [msgspec.json.encode(_embeddings(body))]
        if act.echo:
            act = msgspec.structs.replace(act, text=str(body["messages"][-1]["content"]))
        return self._events(act, body) if body.get("stream") else [msgspec.json.encode(self._response(act, body))]

    async def _end_early(self, act: Act, writer: asyncio.StreamWriter) -> bool:
        await writer.drain()
        if act.stall is not None:
            await asyncio.Event().wait()
        return False

    def _events(self, act: Act, body: dict[str, Any]) -> list[bytes]:
        include = bool((body.get("stream_options") or {}).get("include_usage"))
        events = list(as_events(self._response(act, body), include))
        if act.pieces <= 1 or not act.text:
            return events
        step = max(1, len(act.text) // act.pieces)
        parts = [act.text[at : at + step] for at in range(0, len(act.text), step)]
        content = [list(as_events(self._response(Act(text=part), body), False))[1] for part in parts]
        at = 2 if act.thoughts else 1
        return [*events[:at], *content, *events[at + 1 : -1], DONE]

    def _response(self, act: Act, body: dict[str, Any]) -> ChatResponse:
        made = sum(len(message.get("tool_calls") or ()) for message in body.get("messages") or ())
        calls = [
            ToolCall(id=f"call_{index}", function=FunctionCall(name=name, arguments=arguments))
            for index, (name, arguments) in enumerate(act.calls, made)
        ]
        written = act.text + "".join(f'{{"name": "{name}", "arguments": {arguments}}}' for name, arguments in act.calls)
        tokens = [written[at : at + 4] for at in range(0, len(written), 4)]
        logprobs = None
        if body.get("logprobs") and act.logprob is not None:
            logprobs = ChoiceLogprobs([TokenLogprob(token, act.logprob) for token in tokens])
        ids = list(range(len(tokens))) if body.get("return_token_ids") else None
        choice = Choice(
            message=AnswerMessage(
                content=act.text or None, tool_calls=calls or None, reasoning_content=act.thoughts or None
            ),
            finish_reason=act.finish or ("tool_calls" if calls else "stop"),
            logprobs=logprobs,
            token_ids=ids,
        )
        usage = Usage(prompt_tokens=10, completion_tokens=len(tokens), total_tokens=10 + len(tokens))
        return ChatResponse(
            id="chatcmpl-scripted",
            created=1,
            model=str(body.get("model", self.model)),
            choices=[choice],
            usage=usage,
            prompt_token_ids=[1, 2, 3] if ids is not None else None,
        )


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [{"object": "embedding", "index": at, "embedding": [len(str(text))]} for at, text in enumerate(texts)]
    usage = {"prompt_tokens": 5 * len(texts), "total_tokens": 5 * len(texts)}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def _is_probe(body: dict[str, Any]) -> bool:
    return body.get("max_tokens") == 1 and body.get("return_token_ids") is True


def _response(status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body) if length is None else length}"]
    kind = {"content-type": "application/json"}
    lines += [f"{key}: {value}" for key, value in {**kind, **(headers or {})}.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A stand-in model server that gives one answer.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--socket", default="")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--text", default="Hello.")
    parser.add_argument("--pieces", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--echo", action="store_true")
    chosen = parser.parse_args(arguments)

    async def run() -> None:
        act = Act(chosen.text, chosen.echo, pieces=chosen.pieces, delay=chosen.delay, pause=chosen.pause)
        server = ScriptedServer(act, keep=0)
        await server.start(chosen.port, chosen.socket)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    main()
