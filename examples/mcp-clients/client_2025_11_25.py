"""An MCP client of revision 2025-11-25, with the unmodified official SDK (mcp 1.x).

Opens conversations through a gateway and checks that each one is answered by the release it began on.
The SDK carries the pin by itself: `Mcp-Session-Id`, which the agent's `initialize` handed out. Nothing here sets it.
Must not set any header but Host, or it would no longer show what an ordinary client does.
"""

import anyio
import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from talk import Talk, arguments, main


async def converse(args) -> Talk:
    talk = Talk(revision="2025-11-25")
    async with talk.watched(httpx.AsyncClient, args) as http:
        async with streamable_http_client(args.url, http_client=http) as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                await session.list_tools()
                for turn in range(1, args.turns + 1):
                    result = await session.call_tool("ask", {"text": f"question {turn}"})
                    talk.answered(result.structuredContent, result.isError)
                    await anyio.sleep(args.think_time)
    return talk


if __name__ == "__main__":
    main(arguments(__doc__), converse)
