"""What both MCP clients share: arguments, watching what was sent, and the report.

Only watches: the pins it reports are read off the requests that the SDK made, never put there.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

PIN_HEADERS = ("mcp-session-id", "mcp-param-conversation", "x-agent-release")


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="MCP endpoint, such as http://127.0.0.1:8080/mcp")
    parser.add_argument("--host", help="Host header, where the gateway routes by host name")
    parser.add_argument("--conversations", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3, help="turns of a conversation")
    parser.add_argument("--think-time", type=float, default=0.0, help="seconds between turns")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one conversation")
    return parser.parse_args()


@dataclass
class Talk:
    """One conversation: who answered, and what the SDK sent."""

    revision: str
    negotiated: str | None = None
    releases: list = field(default_factory=list)
    assignments: list = field(default_factory=list)
    conversation: str | None = None
    pins_sent: list = field(default_factory=list)
    pinned_calls: int = 0
    failed: list = field(default_factory=list)
    last_answer_us: int = 0

    def watched(self, client_class, args):
        """An HTTP client of the SDK's own kind that notes which pins left with each tool call."""

        async def note(request):
            if self.negotiated is None:
                self.negotiated = request.headers.get("mcp-protocol-version")
            pins = {name: request.headers[name] for name in PIN_HEADERS if name in request.headers}
            if request.method == "POST" and b'"tools/call"' in request.content:
                self.pinned_calls += bool(pins)
                if pins and pins not in self.pins_sent:
                    self.pins_sent.append(pins)

        headers = {"host": args.host} if args.host else {}
        return client_class(headers=headers, event_hooks={"request": [note]}, timeout=args.timeout)

    def answered(self, content, is_error) -> None:
        if is_error or content is None:
            self.failed.append("the tool call failed")
            return
        self.releases.append(content["release"])
        self.assignments.append(content.get("assignment"))
        self.conversation = content["conversation"]
        self.last_answer_us = time.time_ns() // 1000

    def report(self) -> dict:
        distinct = sorted({release for release in self.releases if release})
        return {
            "revision": self.revision,
            "negotiated": self.negotiated,
            "conversation": self.conversation,
            "release": distinct[0] if distinct else None,
            "releases": distinct,
            "sticky": len(distinct) == 1 and not self.failed,
            "answers": len(self.releases),
            "assignment": self.assignments[0] if self.assignments else None,
            "pinned_calls": self.pinned_calls,
            "pins_sent": self.pins_sent,
            "failed": self.failed,
            "last_answer_us": self.last_answer_us,
        }


async def one(args, converse) -> dict:
    try:
        return (await asyncio.wait_for(converse(args), args.timeout)).report()
    except Exception as error:  # noqa: BLE001 - every way to fail is a line of the report
        return {"sticky": False, "failed": [f"{type(error).__name__}: {error}"], "releases": []}


async def run(args, converse) -> int:
    lines = [await one(args, converse) for _ in range(args.conversations)]
    for line in lines:
        print(json.dumps(line), flush=True)
    moved = sum(not line["sticky"] for line in lines)
    summary = {"conversations": len(lines), "sticky": len(lines) - moved, "moved_or_failed": moved}
    print(json.dumps({"summary": summary}), flush=True)
    return 1 if moved else 0


def main(args, converse) -> None:
    sys.exit(asyncio.run(run(args, converse)))
