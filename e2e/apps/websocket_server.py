"""A WebSocket server that sends back what it gets, and tells on its standard output how connections begin and end.

The text `ping me` is answered when a ping was, `close CODE REASON` by closing so.
"""

import asyncio

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

LARGEST = 1 << 20


async def echo(connection):
    request = connection.request
    print(f"opened path={request.path} for={request.headers.get_all('X-Forwarded-For')}", flush=True)
    try:
        while True:
            message = await connection.recv()
            if message == "ping me":
                await (await connection.ping())
                message = "ponged"
            elif isinstance(message, str) and message.startswith("close "):
                _, code, reason = message.split(" ", 2)
                await connection.close(int(code), reason)
            await connection.send(message)
    except ConnectionClosed:
        pass
    print(f"closed code={connection.close_code} reason={connection.close_reason}", flush=True)


async def main():
    # The pings are the clients'.
    async with serve(
        echo, "127.0.0.1", 0, subprotocols=["echo"], max_size=LARGEST, ping_interval=None
    ) as server:
        host, port = server.sockets[0].getsockname()
        print(f"listening on {host}:{port}", flush=True)
        await server.serve_forever()


asyncio.run(main())
