"""A Flask application behind proxies, as Flask's documentation sets it up: it answers with the client it believes in.

PROXIES tells ProxyFix how many proxies stand in front. On a Unix socket there is no peer's address to fall back to:
then a request that came another way than through all of them has no client, and is refused.
"""

import os

from flask import Flask, jsonify, request
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=int(os.environ.get("PROXIES", "1")))


@app.route("/", defaults={"path": ""})
@app.route("/<path:path>")
def whoami(path):
    if not request.remote_addr:
        return "no client", 403
    original = request.environ["werkzeug.proxy_fix.orig"]
    entries = request.headers.get("X-Forwarded-For", "").split(",")
    return jsonify(
        client=request.remote_addr,
        peer=original["REMOTE_ADDR"],
        hops=[entry.strip() for entry in reversed(entries)],
    )
