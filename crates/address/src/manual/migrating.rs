//! Coming from elsewhere: their setting, ours, and what changes.
//!
//! What changes with all of them: where they fall back to the peer, to the leftmost entry or to another header, there is
//! no client here, and the error says why. Handle [`Unresolved`](crate::Unresolved): a 4xx answer for the request, and a
//! look at [`Policy::explain`](crate::Policy::explain) for yourself. Health checks that lack the header are the usual
//! surprise: let them ask a route that needs no client, or write `on_missing = "peer"`.
//!
//! # From axum-client-ip
//!
//! | there | here |
//! |---|---|
//! | `ClientIpSource::ConnectInfo` | `from = "peer"` |
//! | `XRealIp` | `from = "header"`, `header = "X-Real-IP"` |
//! | `CfConnectingIp` | `from = "header"`, `header = "CF-Connecting-IP"`, `trusted = ["cloudflare"]` |
//! | `CloudFrontViewerAddress` | the same with `header = "CloudFront-Viewer-Address"`, `format = "ip:port-unbracketed"`, `trusted = ["cloudfront"]` |
//! | `FlyClientIp`, `TrueClientIp` | `from = "header"` with that name |
//! | `RightmostXForwardedFor` | `from = "x-forwarded-for"`, `hops = 1` |
//! | `RightmostForwarded` | `from = "forwarded"`, `hops = 1` |
//!
//! New is `trusted`: there the header is believed from whoever connects, here from your proxies. With two proxies or more,
//! leave `hops` out and trust them all. Ports in entries are read, and all lines count instead of the last one.
//!
//! # From Werkzeug's ProxyFix
//!
//! | there | here |
//! |---|---|
//! | `x_for=N` | `from = "x-forwarded-for"`, `hops = N` |
//! | `x_proto=N`, `x_host=N`, `x_port=N` | `origin = ["proto", "host", "port"]` |
//! | `x_prefix=N` | nothing |
//!
//! New is `trusted`, which ProxyFix has not: name the proxy that connects to you. A list shorter than N is an error
//! instead of the proxy's address, and an entry that is no address is an error instead of text. Scheme, host and port
//! have no count of their own: they come from the hop that named the client. The environment's original values are
//! [`Resolution::peer`](crate::Resolution::peer).
//!
//! # From nginx's realip module
//!
//! | there | here |
//! |---|---|
//! | `set_real_ip_from 10.0.0.0/8;` | `trusted = ["10.0.0.0/8"]` |
//! | `set_real_ip_from unix:;` | `trusted = ["unix"]` |
//! | `set_real_ip_from` with a host's name | its addresses: nothing is looked up |
//! | `real_ip_header X-Real-IP;` | `from = "header"`, `header = "X-Real-IP"` |
//! | `real_ip_header X-Forwarded-For; real_ip_recursive off;` | `from = "x-forwarded-for"`, `hops = 1` |
//! | `real_ip_header X-Forwarded-For; real_ip_recursive on;` | `from = "x-forwarded-for"` |
//! | `real_ip_header proxy_protocol;` | `from = "proxy-protocol"` |
//! | `$realip_remote_addr` | [`Resolution::peer`](crate::Resolution::peer) |
//!
//! Where nginx stops at an entry that it cannot read and keeps the last trusted proxy, and where all entries are trusted
//! and it keeps the leftmost, there is an error here. A rule inside of `::ffff:0:0/96` matches IPv4. PROXY headers are
//! required from those whom `trusted` names, instead of from every connection to the listener.
//!
//! # From Express's `trust proxy`
//!
//! | there | here |
//! |---|---|
//! | `false` | `from = "peer"` |
//! | a number N | `from = "x-forwarded-for"`, `hops = N`, and `trusted` |
//! | `'10.0.0.0/8'`, a list of them | `from = "x-forwarded-for"`, `trusted = [...]` |
//! | `'loopback'` | `"loopback"` in `trusted` |
//! | `'uniquelocal'` | `"private"` in `trusted` |
//! | `'linklocal'` | `"169.254.0.0/16"`, `"fe80::/10"` in `trusted`, if you must |
//! | `true` | nothing: it takes the leftmost entry, which is the client's to write |
//! | a function | the networks for which it says yes |
//! | `req.ips` | [`Policy::hops`](crate::Policy::hops) |
//! | `req.protocol`, `req.hostname` | [`Policy::origin`](crate::Policy::origin), by the key `origin` |
//!
//! A list that is too short, or whose entries are all trusted, gives the leftmost entry there and an error here. Octal,
//! hexadecimal and integer spellings of IPv4 are addresses there, and malformed here.
