//! A proxy's configuration and the policy that fits it.
//!
//! The same pairs are data in [`recipe`](crate::recipe). Each policy is followed by what it makes of a request as that
//! proxy sends it, with `6.6.6.6` for what a client forged. Addresses are examples: replace them by yours.
//!
//! All but the chains take their proxy for the *first*, which nobody stands before: then it can overwrite what clients
//! send, and everything behind it, not only this library, reads clean headers.
//!
//! In your own config file a policy can stand wherever you like: [`PolicyConfig`](crate::PolicyConfig) is one table,
//! and [`build_steps`](crate::PolicyConfig::build_steps) takes several.
//!
//! # nginx
//!
#![doc = "```nginx"]
#![doc = include_str!("../recipes/nginx.conf")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/nginx.toml")]
#![doc = "```"]
//!
//! Every location that has a `proxy_set_header` of its own inherits none from outside: repeat them all. For `proxy_pass`
//! to a Unix socket write `trusted = ["unix"]`.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("nginx").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("X-Real-IP", "203.0.113.95"), ("X-Forwarded-For", "203.0.113.95"), ("X-Forwarded-Proto", "https")];
//! let resolution = policy.resolve("127.0.0.1:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//! assert_eq!(policy.origin(&resolution, &headers[..])?.scheme, Some(truehop::Scheme::Https));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # nginx behind another proxy
//!
#![doc = "```nginx"]
#![doc = include_str!("../recipes/nginx-chain.conf")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/nginx-chain.toml")]
#![doc = "```"]
//!
//! nginx appends the address of the proxy before it, which appended the client's. Both are trusted, so both are walked
//! over. Do not use the realip module in this nginx as well: it replaces the address that is appended.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("nginx-chain").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("X-Forwarded-For", "6.6.6.6, 203.0.113.95, 203.0.113.80")];
//! let resolution = policy.resolve("192.168.0.10:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # HAProxy
//!
#![doc = "```text"]
#![doc = include_str!("../recipes/haproxy.cfg")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/haproxy.toml")]
#![doc = "```"]
//!
//! `option forwardfor` adds a line of its own after those that are there. Without the `del-header` above, the client's
//! lines would stay before it, and would change nothing here. HAProxy passes `Connection` on: a client that names
//! `X-Forwarded-For` in it gets [an error](crate::Unresolved::HopByHop), and harms only itself.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("haproxy").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "203.0.113.95")];
//! let resolution = policy.resolve("127.0.0.1:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # HAProxy below HTTP
//!
#![doc = "```text"]
#![doc = include_str!("../recipes/haproxy-proxy-protocol.cfg")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/haproxy-proxy-protocol.toml")]
#![doc = "```"]
//!
//! For TLS that ends behind HAProxy. The header stands before the TLS handshake, so the server reads it first; see
//! [`proxy_protocol`](crate::proxy_protocol).
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, proxy_protocol::Progress, recipe};
//! let recipe = recipe::find("haproxy-proxy-protocol").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! // "\r\n\r\n\0\r\nQUIT\n", version 2 and PROXY, TCP over IPv4, 12 bytes: from 203.0.113.95:49152 to 10.0.1.9:443.
//! let sent = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x5f\x0a\x00\x01\x09\xc0\x00\x01\xbb";
//! let peer: Peer = "127.0.0.1:51312".parse()?;
//! let preface = policy.preface(peer)?.expect("the peer is trusted to send one");
//! let Progress::Done { arrival, .. } = preface.feed(sent)? else { panic!("the header is whole") };
//! let nothing: [(&str, &str); 0] = [];
//! assert_eq!(policy.resolve(arrival, &nothing[..])?.client().ip().to_string(), "203.0.113.95");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Behind a proxy that speaks the PROXY protocol
//!
//! The second proxy takes the client from the header in front of the connection, and tells it on in a header of each
//! request. A header in front of the connection can be written by whoever connects: each of these believes that of one
//! address only. HAProxy's `accept-proxy` and Apache's `RemoteIPProxyProtocol` believe everybody's by themselves.
//!
#![doc = "```nginx"]
#![doc = include_str!("../recipes/nginx-behind-proxy-protocol.conf")]
#![doc = "```"]
#![doc = "```text"]
#![doc = include_str!("../recipes/haproxy-behind-proxy-protocol.cfg")]
#![doc = "```"]
#![doc = "```apache"]
#![doc = include_str!("../recipes/apache-behind-proxy-protocol.conf")]
#![doc = "```"]
#![doc = "```text"]
#![doc = include_str!("../recipes/caddy-behind-proxy-protocol.caddyfile")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/truehop-behind-proxy-protocol.edge.toml")]
#![doc = "```"]
//!
//! The service behind trusts that second proxy, and finds the client as if no other stood before it:
//!
#![doc = "```toml"]
#![doc = include_str!("../recipes/nginx-behind-proxy-protocol.toml")]
#![doc = "```"]
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let headers = [("X-Real-IP", "203.0.113.95"), ("X-Forwarded-For", "203.0.113.95")];
//! for second in ["nginx", "haproxy", "apache", "caddy", "truehop"] {
//!     let recipe = recipe::find(&format!("{second}-behind-proxy-protocol")).unwrap();
//!     let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//!     let policy = file.remove("client").unwrap().build()?;
//!     let resolution = policy.resolve("192.168.0.20:51312".parse::<Peer>()?, &headers[..])?;
//!     assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Caddy
//!
#![doc = "```text"]
#![doc = include_str!("../recipes/caddy.caddyfile")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/caddy.toml")]
#![doc = "```"]
//!
//! Caddy sets `X-Forwarded-For`, `-Proto` and `-Host` by itself, and drops what clients sent unless `trusted_proxies`
//! names them.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("caddy").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("X-Forwarded-For", "203.0.113.95"), ("X-Forwarded-Host", "files.example.org")];
//! let resolution = policy.resolve("127.0.0.1:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//! assert_eq!(policy.origin(&resolution, &headers[..])?.host, Some("files.example.org"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Apache httpd
//!
#![doc = "```apache"]
#![doc = include_str!("../recipes/apache.conf")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/apache.toml")]
#![doc = "```"]
//!
//! mod_proxy_http appends the peer to `X-Forwarded-For`. Versions before 2.4.54 let a client remove that header by naming
//! it in `Connection`, which is [an error](crate::Unresolved::HopByHop) or [a missing header](crate::Unresolved::MissingHeader)
//! here.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("apache").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("X-Forwarded-For", "203.0.113.95"), ("X-Forwarded-Proto", "http")];
//! let resolution = policy.resolve("127.0.0.1:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Traefik
//!
#![doc = "```yaml"]
#![doc = include_str!("../recipes/traefik.yml")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/traefik.toml")]
#![doc = "```"]
//!
//! Give Traefik's container a fixed address. Trusting its whole network trusts every container in it, and then any of them
//! can forge.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("traefik").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("X-Forwarded-For", "203.0.113.95"), ("X-Forwarded-Proto", "https")];
//! let resolution = policy.resolve("172.18.0.10:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//!
//! // A neighbour's container speaks for itself only.
//! let neighbour = policy.resolve("172.18.0.66:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(neighbour.client().ip().to_string(), "172.18.0.66");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Envoy
//!
#![doc = "```yaml"]
#![doc = include_str!("../recipes/envoy.yaml")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/envoy.toml")]
#![doc = "```"]
//!
//! Envoy appends, so what clients sent stays in the list to the left of the answer, where it is never looked at.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("envoy").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("X-Forwarded-For", "6.6.6.6,203.0.113.95"), ("X-Forwarded-Proto", "https")];
//! let resolution = policy.resolve("192.168.0.10:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # AWS Application Load Balancer
//!
#![doc = "```sh"]
#![doc = include_str!("../recipes/aws-alb.sh")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/aws-alb.toml")]
#![doc = "```"]
//!
//! Nodes of the load balancer come and go with new addresses, so its subnets are trusted: put nothing else into them. The
//! mode `preserve` would pass the client's own list on as it is, and `remove` would leave none. If CloudFront stands
//! before it, add `"cloudfront"`.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("aws-alb").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("X-Forwarded-For", "6.6.6.6, 203.0.113.95")];
//! let resolution = policy.resolve("10.0.2.17:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # AWS Network Load Balancer
//!
#![doc = "```sh"]
#![doc = include_str!("../recipes/aws-nlb.sh")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/aws-nlb.toml")]
#![doc = "```"]
//!
//! With `preserve_client_ip` the packets come from the client's own address, and who connects is not the load balancer:
//! then switch `proxy_protocol_v2` off, and write `from = "peer"`.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, proxy_protocol::Progress, recipe};
//! let recipe = recipe::find("aws-nlb").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! // "\r\n\r\n\0\r\nQUIT\n", version 2 and PROXY, TCP over IPv4, 12 bytes: from 203.0.113.95:49152 to 10.0.1.9:443.
//! let sent = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x5f\x0a\x00\x01\x09\xc0\x00\x01\xbb";
//! let peer: Peer = "10.0.2.17:51312".parse()?;
//! let preface = policy.preface(peer)?.expect("the peer is trusted to send one");
//! let Progress::Done { arrival, .. } = preface.feed(sent)? else { panic!("the header is whole") };
//! let nothing: [(&str, &str); 0] = [];
//! assert_eq!(policy.resolve(arrival, &nothing[..])?.client().ip().to_string(), "203.0.113.95");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Cloudflare
//!
#![doc = "```text"]
#![doc = include_str!("../recipes/cloudflare.txt")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/cloudflare.toml")]
#![doc = "```"]
//!
//! Cloudflare's networks prove that Cloudflare connects, not that your zone does: another customer's can point to your
//! server too, and some products let a customer choose headers. The client certificate closes that. The set is a
//! [snapshot](crate::NamedSet) with a date.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("cloudflare").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("CF-Connecting-IP", "2001:db8::95"), ("X-Forwarded-For", "6.6.6.6, 2001:db8::95")];
//! let resolution = policy.resolve("172.64.0.9:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "2001:db8::95");
//!
//! // Whoever found the server's own address is nobody but himself.
//! let stranger = policy.resolve("198.51.100.7:40000".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(stranger.client().ip().to_string(), "198.51.100.7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Cloudflare before an AWS Network Load Balancer
//!
#![doc = "```sh"]
#![doc = include_str!("../recipes/cloudflare-aws-nlb.sh")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/cloudflare-aws-nlb.toml")]
#![doc = "```"]
//!
//! Two steps: the second one's peer is whom the PROXY header names.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, proxy_protocol::Progress, recipe};
//! let recipe = recipe::find("cloudflare-aws-nlb").unwrap();
//! let mut file: BTreeMap<String, Vec<PolicyConfig>> = toml::from_str(recipe.policy)?;
//! let policy = PolicyConfig::build_steps(file.remove("client").unwrap())?;
//!
//! // "\r\n\r\n\0\r\nQUIT\n", version 2 and PROXY, TCP over IPv4, 12 bytes: from 172.64.0.9:49152 to 10.0.1.9:443.
//! let sent = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xac\x40\x00\x09\x0a\x00\x01\x09\xc0\x00\x01\xbb";
//! let peer: Peer = "10.0.2.17:51312".parse()?;
//! let preface = policy.preface(peer)?.expect("the peer is trusted to send one");
//! let Progress::Done { arrival, .. } = preface.feed(sent)? else { panic!("the header is whole") };
//! let headers = [("CF-Connecting-IP", "203.0.113.95")];
//! assert_eq!(policy.resolve(arrival, &headers[..])?.client().ip().to_string(), "203.0.113.95");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Amazon CloudFront
//!
#![doc = "```sh"]
#![doc = include_str!("../recipes/cloudfront.sh")]
#![doc = "```"]
#![doc = "```toml"]
#![doc = include_str!("../recipes/cloudfront.toml")]
#![doc = "```"]
//!
//! `X-Forwarded-For` would do as well, with `from = "x-forwarded-for"`. `CloudFront-Viewer-Address` also tells the port.
//! As with Cloudflare, the networks are every customer's: let the origin ask for a secret header that your distribution
//! adds.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! # use std::collections::BTreeMap;
//! # use truehop::{Peer, PolicyConfig, recipe};
//! let recipe = recipe::find("cloudfront").unwrap();
//! let mut file: BTreeMap<String, PolicyConfig> = toml::from_str(recipe.policy)?;
//! let policy = file.remove("client").unwrap().build()?;
//!
//! let headers = [("CloudFront-Viewer-Address", "2001:db8::95:46532")];
//! let resolution = policy.resolve("13.32.0.9:51312".parse::<Peer>()?, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "2001:db8::95");
//! assert_eq!(resolution.client().port(), Some(46532));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
