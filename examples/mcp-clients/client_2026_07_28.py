"""An MCP client of revision 2026-07-28, with the unmodified official SDK (mcp 2.x).

Opens conversations through a gateway and checks that each one is answered by the release it began on.
That revision has no sessions: the agent hands out a handle, and the SDK mirrors it into `Mcp-Param-Conversation`
because the tool's schema says so. Nothing here sets it. Must not set any header but Host.
"""

import anyio
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from talk import Talk, arguments, main


async def converse(args) -> Talk:
    talk = Talk(revision="2026-07-28")
    async with talk.watched(httpx2.AsyncClient, args) as http:
        async with Client(streamable_http_client(args.url, http_client=http)) as client:
            talk.negotiated = client.protocol_version
            await client.list_tools()
            opened = await client.call_tool("open_conversation", {})
            talk.answered(opened.structured_content, opened.is_error)
            handle = opened.structured_content["conversation"]
            for turn in range(1, args.turns + 1):
                result = await client.call_tool("ask", {"conversation": handle, "text": f"question {turn}"})
                talk.answered(result.structured_content, result.is_error)
                await anyio.sleep(args.think_time)
    return talk


if __name__ == "__main__":
    main(arguments(__doc__), converse)
