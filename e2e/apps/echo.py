"""A Flask application as its users write it: it answers with what it believes about the client.

PROXIES tells ProxyFix how many proxies stand in front, as Flask's documentation asks for.
"""

import os

from flask import Flask, jsonify, request
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=int(os.environ.get("PROXIES", "1")), x_proto=1, x_host=1)


@app.route("/", defaults={"path": ""}, methods=["GET", "PUT", "POST", "DELETE"])
@app.route("/<path:path>", methods=["GET", "PUT", "POST", "DELETE"])
def echo(path):
    original = request.environ["werkzeug.proxy_fix.orig"]
    return jsonify(
        method=request.method,
        path=request.path,
        url=request.url,
        body=request.get_data(as_text=True),
        remote_addr=request.remote_addr,
        peer=original["REMOTE_ADDR"],
        connection=request.environ.get("REMOTE_PORT"),
        http={key: value for key, value in request.environ.items() if key.startswith("HTTP_")}
        | {key: value for key, value in original.items() if key.startswith("HTTP_") and value is not None},
    )
