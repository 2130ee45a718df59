"""An ASGI application that answers with the client that its server told it."""

import json


async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = json.dumps({"client": scope["client"][0]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
