"""A WebSocket client: `websocket_client.py echo|soak|closed|lost URL`. Ends with 0 when all was as it should be."""

import asyncio
import random
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

MESSAGES = 500
LARGEST = 256 * 1024


def open_to(url, **options):
    return connect(url, subprotocols=["echo"], **options)


async def echo(url):
    async with open_to(url) as connection:
        assert connection.subprotocol == "echo", connection.subprotocol
        for message in ["", "text", "späßle ☃", "x" * 70_000, b"", b"\x00\xff" * 33, bytes(70_000)]:
            await connection.send(message)
            assert await connection.recv() == message, message[:50]
        # In pieces, with a ping between them.
        await connection.send(["in ", "three ", "pieces"])
        assert await connection.recv() == "in three pieces"
        await (await connection.ping(b"client"))
        await connection.send("ping me")
        assert await connection.recv() == "ponged"
        await connection.close(4000, "well done")
    assert connection.close_code == 4000, connection.close_code


async def soak(url):
    seeded = random.Random(7)
    # Many small ones, some large.
    messages = [seeded.randbytes(int(LARGEST * seeded.random() ** 3)) for _ in range(MESSAGES)]
    messages[0], messages[1] = b"", seeded.randbytes(LARGEST)
    async with open_to(url, compression=None) as connection:
        # All are sent without waiting, so that both directions are full.
        sending = asyncio.create_task(send_all(connection, messages))
        for n, message in enumerate(messages):
            assert await connection.recv() == message, n
        await sending


async def send_all(connection, messages):
    for message in messages:
        await connection.send(message)


async def closed(url):
    async with open_to(url) as connection:
        await connection.send("close 4001 had enough")
        try:
            await connection.recv()
            raise AssertionError("not closed")
        except ConnectionClosed as end:
            assert (end.rcvd.code, end.rcvd.reason) == (4001, "had enough"), end


async def lost(url):
    async with open_to(url) as connection:
        await connection.send("still here")
        assert await connection.recv() == "still here"
        connection.transport.abort()


name, url = sys.argv[1:]
asyncio.run({"echo": echo, "soak": soak, "closed": closed, "lost": lost}[name](url))
