//! The command line of `truehop probe`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;

use super::echo::Echo;
use super::target::Target;

/// What stands behind the options.
pub(crate) const HELP: &str = "\
Examples:
  truehop probe http://127.0.0.1:8080/whoami --from 127.0.0.2
  truehop probe https://files.example.com/whoami --expect 203.0.113.95
  truehop probe http://192.168.0.10/ip --echo-json /origin --trusted 192.168.0.20

What the deployment must have, at the path of the URL, until you are done: an answer to everybody that tells whom it \
takes for its client, as JSON with a member \"client\" or as a line of text with the address alone. Where your \
application decides by the address, take it from the same place:

  Truehop   [[route]]
            path = \"/whoami\"
            to   = \"whoami\"

  Flask     @app.get(\"/whoami\")
            def whoami():
                return {\"client\": request.remote_addr}

  WSGI      def whoami(environ, start_response):
                start_response(\"200 OK\", [(\"Content-Type\", \"text/plain\")])
                return [environ[\"REMOTE_ADDR\"].encode()]

  Express   app.get(\"/whoami\", (request, response) => response.json({ client: request.ip }));

  axum      .route(\"/whoami\", get(async |client: truehop_tower::Client| client.ip().to_string()))

  nginx     location = /whoami { return 200 \"$remote_addr\\n\"; }

Verdicts:
  held       answered with the address that honest requests get
  refused    answered 4xx, or closed without an answer
  elsewhere  answered by something that names no client: a redirect, another page
  unjudged   429 or 503 with Retry-After: it was waited for, 30 s in all, and asked once more in vain
  broke      an error of the server's own (5xx), or no answer in time
  fooled     answered with another address, or with what is none; or let in by a claim";

#[derive(Args, Clone, Debug)]
pub(crate) struct ProbeArgs {
    /// Where the deployment tells whom it takes for its client: http://HOST/PATH or https://HOST/PATH.
    #[arg(value_name = "URL")]
    pub(crate) url: Target,
    /// Where the JSON of an answer has the address: /request/ip, or request.ip [default: client, or plain text].
    #[arg(long, value_name = "PATH")]
    pub(crate) echo_json: Option<Echo>,
    /// Your address, as honest requests must be answered.
    #[arg(long, value_name = "IP")]
    pub(crate) expect: Option<IpAddr>,
    /// A proxy that the deployment trusts, and not this end; some forgeries claim to have come through it
    /// [default: 127.0.0.1].
    #[arg(long, value_name = "IPV4")]
    pub(crate) trusted: Option<Ipv4Addr>,
    /// Connect from this address of this machine.
    #[arg(long, value_name = "IP", value_parser = |text: &str| text.parse().map(|ip: IpAddr| ip.to_canonical()))]
    pub(crate) from: Option<IpAddr>,
    /// Requests a second.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rate: u32,
    /// How many seconds a connection may take, and an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) timeout: u32,
    /// For https: believe this authority's certificates (PEM) instead of those that the system believes.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// For https: believe any certificate.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Do not ask, also where the address is neither of this machine nor private.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Show every forgery, not only those that were believed or broke something.
    #[arg(long)]
    pub(crate) all: bool,
    /// Write JSON, with every forgery.
    #[arg(long, conflicts_with = "all")]
    pub(crate) json: bool,
}
