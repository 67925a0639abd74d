"""A small MCP server over stdio: ``python durable_mcp_server.py``; it counts its calls in DURABLE_AGENTS_LOG."""

import os

from mcp.server import MCPServer

server = MCPServer("numbers", instructions="Use add for sums.")


@server.tool()
def add(a: int, b: int) -> int:
    with open(os.environ["DURABLE_AGENTS_LOG"], "a") as file:
        file.write("add\n")
    return a + b


if __name__ == "__main__":
    server.run()
