// An application that believes what it is told, in one of the ways in which applications do: HOW says which.
"use strict";
const http = require("node:http");

// All lines of a name, in order.
const lines = (request, name) =>
  request.rawHeaders.filter((_, n, all) => n % 2 === 1 && all[n - 1].toLowerCase() === name);
const leftmost = (text) => text?.split(",")[0].trim();

const ways = {
  "leftmost": (request) => leftmost(lines(request, "x-forwarded-for").join(",")),
  "first-line": (request) => lines(request, "x-forwarded-for")[0]?.split(",").at(-1).trim(),
  "x-real-ip": (request) => leftmost(lines(request, "x-real-ip")[0]),
  "in-turn": (request) =>
    ["cf-connecting-ip", "true-client-ip", "x-client-ip", "x-forwarded-for", "x-real-ip", "forwarded"]
      .map((name) => leftmost(lines(request, name)[0]))
      .find((claim) => claim),
};
const way = ways[process.env.HOW];
const [host, port] = process.argv.slice(2);

http
  .createServer((request, response) => {
    const client = way(request) || request.socket.remoteAddress;
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ client }));
  })
  .listen(Number(port), host, () => console.log("ready"));
