"""A tool server for an agent: requests are lines of JSON on standard input, answers lines on standard output.

    $ echo '{"tool": "run", "command": "python3 -c \"print(6 * 7)\""}' | python examples/tool_server.py
    {"exit_status": 0, "stdout": "42\n", "stderr": "", "how": "exited with 0"}

All requests share one sandbox: what one writes the next one reads, and nothing else of the host is there.
"""

import json
import sys
from typing import Any

from axptr import Sandbox

EXAMPLE = [
    {"tool": "write", "path": "fib.py", "text": "a, b = 0, 1\nfor _ in range(10): a, b = b, a + b\nprint(a)"},
    {"tool": "run", "command": "python3 fib.py"},
    {"tool": "run", "command": "cat /etc/shadow"},
    {"tool": "list", "path": ""},
]


def answer(box: Sandbox, request: dict[str, Any]) -> dict[str, Any]:
    tool = request["tool"]
    if tool == "run":
        result = box.run(request["command"], timeout=request.get("timeout", 30))
        told = {"exit_status": result.exit_status, "stdout": result.text}
        return {**told, "stderr": result.stderr.decode(errors="replace"), "how": result.how}
    if tool == "write":
        box.files.write(request["path"], request["text"])
        return {"written": len(request["text"])}
    if tool == "read":
        return {"text": box.files.read_text(request["path"])}
    if tool == "list":
        return {"files": [entry.name for entry in box.files.list(request["path"])]}
    return {"error": f"there is no tool {tool!r}"}


with Sandbox() as box:
    lines = sys.stdin if not sys.stdin.isatty() else ()
    requests = [json.loads(line) for line in lines] or EXAMPLE
    for request in requests:
        try:
            print(json.dumps(answer(box, request)), flush=True)
        except (OSError, KeyError, ValueError) as error:
            print(json.dumps({"error": str(error)}), flush=True)
