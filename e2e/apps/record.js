// An HTTP server that tells on its standard output what it was sent, one JSON line for a head, one for a whole request,
// and one for what it took for no request.
//
// It parses as leniently as it can: only what stands in front keeps a misunderstanding away from it. A query asks for
// an answer: `size=N` for N bytes of filling, `cut=N` for an end after N of them, `early` for an answer before the body
// is read, `close` for an answer that ends the connection.
"use strict";
const http = require("node:http");

const quiet = "QUIET" in process.env;
const tell = (line) => console.log(JSON.stringify(line));

const pairs = (raw) => Array.from({ length: raw.length / 2 }, (_, n) => [raw[2 * n], raw[2 * n + 1]]);

const server = http.createServer(
  { insecureHTTPParser: true, requireHostHeader: false, keepAliveTimeout: 120_000 },
  (request, response) => {
    const seen = { method: request.method, target: request.url, headers: pairs(request.rawHeaders) };
    if (!quiet) tell({ what: "head", ...seen });
    const query = new URLSearchParams(request.url.split("?")[1]);
    if (query.has("early")) {
      response.writeHead(403, { "Content-Length": 5 }).end("early");
      return;
    }
    const body = [];
    request.on("data", (piece) => body.push(piece));
    request.on("end", () => {
      const text = Buffer.concat(body).toString("latin1");
      if (!quiet) tell({ what: "whole", ...seen, body: text, trailers: pairs(request.rawTrailers) });
      const line = `${request.url} ${request.headers["x-forwarded-for"]}\n`;
      const size = Number(query.get("size"));
      if (query.has("close")) response.setHeader("Connection", "close");
      response.setHeader("Content-Length", line.length + size);
      response.write(line);
      if (query.has("cut")) {
        response.write(".".repeat(Number(query.get("cut"))), () => request.socket.resetAndDestroy());
        return;
      }
      response.end(".".repeat(size));
    });
  },
);
server.on("clientError", (error, socket) => {
  // Without a packet it is about a connection that was lost.
  if (error.rawPacket) tell({ what: "broken", raw: error.rawPacket.toString("latin1") });
  if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
});
server.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
