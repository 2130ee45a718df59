"""A WSGI application that tells on its standard output what it was sent, one JSON line for a head and one for a whole
request, and gunicorn's settings for it.

The settings make gunicorn as gullible as it can be: only what stands in front keeps a misunderstanding away from it.
A query asks for an answer: `size=N` for N bytes of filling, `cut=N` for an end after N of them, `early` for an answer
before the body is read.
"""

import json
import os
import threading
from urllib.parse import parse_qs

bind = "127.0.0.1:0"
worker_class = "gthread"
threads = 16
keepalive = 120
header_map = "dangerous"
permit_obsolete_folding = True
strip_header_spaces = True
permit_unconventional_http_method = True
permit_unconventional_http_version = True
control_socket_disable = True

here = threading.local()
telling = threading.Lock()
quiet = "QUIET" in os.environ


def pre_request(worker, request):
    here.request = request


def tell(what, request, body=b""):
    if quiet:
        return
    line = json.dumps({
        "what": what,
        "method": request.method,
        "target": request.uri,
        "headers": request.headers,
        "body": body.decode("latin-1"),
        "trailers": request.trailers,
    })
    with telling:
        print(line, flush=True)


def app(environ, start_response):
    request = here.request
    tell("head", request)
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    if "early" in query:
        start_response("403 Forbidden", [("Content-Length", "5")])
        return [b"early"]
    tell("whole", request, environ["wsgi.input"].read())
    line = f"{request.uri} {environ.get('HTTP_X_FORWARDED_FOR')}\n".encode("latin-1")
    size = int(query.get("size", ["0"])[0])
    start_response("200 OK", [("Content-Length", str(len(line) + size))])
    if "cut" in query:
        return cut(line, int(query["cut"][0]))
    return [line, b"." * size]


def cut(line, after):
    yield line + b"." * after
    raise ConnectionAbortedError
