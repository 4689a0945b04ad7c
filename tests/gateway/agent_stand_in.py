"""An agent's place is taken by a program that does what all of them do first: find the gateway and ask it something.

`put_on_path` writes it under an agent's name. It prints its arguments, its environment and the answer as JSON, and ends
with the code in AGENT_EXIT; with AGENT_WAITS it says so and waits for SIGTERM.
"""

from __future__ import annotations

import sys
from pathlib import Path

SOURCE = '''
import json, os, re, signal, sys, time, urllib.request

def found():
    """The address and model that this agent was told, wherever it looks for them."""
    told = os.environ
    if "OPENCODE_CONFIG_CONTENT" in told:
        config = json.loads(told["OPENCODE_CONFIG_CONTENT"])
        provider, model = config["model"].split("/", 1)
        return config["provider"][provider]["options"]["baseURL"], model
    if address := re.search('base_url="([^"]+)"', " ".join(sys.argv)):
        return address[1], re.search('model="([^"]+)"', " ".join(sys.argv))[1]
    if "ANTHROPIC_MODEL" in told:
        return told["ANTHROPIC_BASE_URL"] + "/v1", told["ANTHROPIC_MODEL"]
    base = told.get("OPENAI_BASE_URL") or told["OPENAI_API_BASE"]
    named = [word.removeprefix("openai/") for word in sys.argv if word.startswith("openai/")]
    return base, (named or [told.get("OPENAI_DEFAULT_MODEL", "nightschool")])[0]

if sys.argv[1:] == ["--version"]:
    print(os.environ.get("AGENT_VERSION", "1.18.31"))
    sys.exit(0)
if "AGENT_WAITS" in os.environ:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    print("waiting", flush=True)
    time.sleep(60)
base, model = found()
body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}]}).encode()
request = urllib.request.Request(base + "/chat/completions", body, {"content-type": "application/json"})
with urllib.request.urlopen(request, timeout=30) as reply:
    answer = json.load(reply)["choices"][0]["message"]["content"]
print(json.dumps({"argv": sys.argv[1:], "environment": dict(os.environ), "answer": answer, "model": model}))
sys.exit(int(os.environ.get("AGENT_EXIT", "0")))
'''


def put_on_path(folder: Path, name: str) -> Path:
    """The folder, which goes on the PATH."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!{sys.executable}\n{SOURCE}")
    program.chmod(0o755)
    return folder
