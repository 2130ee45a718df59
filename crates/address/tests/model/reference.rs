//! What `resolve` must say about a list of hops, in the plainest words: split, collect, walk.
//!
//! Nothing here is clever, fast or shared with the library: a difference between the two is a defect of one of them.
//! Used by the tests beside it and by a fuzz target.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A policy's words.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// `forwarded` instead of `x-forwarded-for`.
    pub(crate) forwarded: bool,
    /// First address and prefix length.
    pub(crate) trusted: Vec<(IpAddr, u8)>,
    pub(crate) trusts_unix: bool,
    pub(crate) hops: Option<usize>,
    pub(crate) max_hops: Option<usize>,
    pub(crate) strips_zones: bool,
    pub(crate) cross_check: bool,
    /// The codes of those errors for which the peer stands in.
    pub(crate) peer_on: Vec<&'static str>,
    /// An all-trusted list gives its leftmost entry.
    pub(crate) leftmost: bool,
}

/// Client, port, depth, and the code of the error that the peer stands in for; or an error's code.
pub(crate) type Answer = Result<(IpAddr, Option<u16>, usize, Option<&'static str>), &'static str>;

type Node = Result<(IpAddr, Option<u16>), &'static str>;

pub(crate) fn resolve(rules: &Rules, peer: Option<IpAddr>, headers: &[(&str, Vec<u8>)]) -> Answer {
    let peer = peer.map(|ip| ip.to_canonical());
    let is_trusted = |ip: IpAddr| rules.trusted.iter().any(|&network| contains(network, ip));
    let peer_is_client = |why| peer.map(|ip| (ip, None, 0, why)).ok_or("no-address");
    if !peer.map_or(rules.trusts_unix, is_trusted) {
        return peer_is_client(None);
    }
    let lines = |name: &str| -> Vec<&[u8]> {
        let named = headers
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| &value[..]).collect()
    };
    let name = if rules.forwarded {
        "forwarded"
    } else {
        "x-forwarded-for"
    };
    let options: Vec<_> = lines("connection").into_iter().flat_map(commas).collect();
    if options
        .iter()
        .any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    {
        return Err("hop-by-hop");
    }

    let walk = || {
        let plain: Vec<_> = lines("x-forwarded-for").into_iter().flat_map(commas).collect();
        let mut elements = Vec::new();
        for line in lines("forwarded").into_iter().filter(|_| rules.forwarded) {
            elements.extend(outside_quotes(line, b',').ok_or("malformed")?);
        }
        let read = |entry: &[u8]| match rules.forwarded {
            true => element(entry, rules.strips_zones),
            false => node(entry, rules.strips_zones),
        };
        let list = if rules.forwarded { elements } else { plain.clone() };
        if rules.max_hops.is_some_and(|max| list.len() > max) {
            return Err("too-many-hops");
        }
        if list.is_empty() {
            return Err("missing-header");
        }
        let mut found = None;
        for (index, entry) in list.iter().rev().enumerate() {
            if rules.hops.is_some_and(|hops| index + 1 < hops) {
                continue;
            }
            let (ip, port) = read(entry)?;
            if rules.hops.is_some() || !is_trusted(ip) {
                found = Some((ip, port, index + 1));
                break;
            }
            if rules.leftmost && index + 1 == list.len() {
                found = Some((ip, port, index + 1));
            }
        }
        let short = if rules.hops.is_some() {
            "too-few-hops"
        } else {
            "all-trusted"
        };
        let (ip, port, depth) = found.ok_or(short)?;
        if rules.forwarded && rules.cross_check && !plain.is_empty() {
            let ip_of = |node: Node| node.ok().map(|(ip, _)| ip);
            let ours: Vec<_> = list.iter().rev().take(depth).map(|e| ip_of(read(e))).collect();
            let theirs = plain.iter().rev().take(depth);
            let theirs: Vec<_> = theirs.map(|e| ip_of(node(e, rules.strips_zones))).collect();
            if ours != theirs {
                return Err("conflict");
            }
        }
        Ok((ip, port, depth, None))
    };
    match walk() {
        Err(why) if rules.peer_on.contains(&why) => peer_is_client(Some(why)),
        answer => answer,
    }
}

fn contains((first, prefix): (IpAddr, u8), ip: IpAddr) -> bool {
    let bits = |ip: IpAddr| -> String {
        match ip {
            IpAddr::V4(ip) => format!("{:032b}", u32::from(ip)),
            IpAddr::V6(ip) => format!("{:0128b}", u128::from(ip)),
        }
    };
    let prefix = usize::from(prefix);
    first.is_ipv4() == ip.is_ipv4() && bits(first)[..prefix] == bits(ip)[..prefix]
}

fn trim(text: &[u8]) -> Vec<u8> {
    let blank = |b: &u8| *b == b' ' || *b == b'\t';
    let text: Vec<u8> = text.iter().copied().skip_while(blank).collect();
    let text: Vec<u8> = text.into_iter().rev().skip_while(blank).collect();
    text.into_iter().rev().collect()
}

fn commas(line: &[u8]) -> Vec<Vec<u8>> {
    let elements = line.split(|&b| b == b',').map(trim);
    elements.filter(|element| !element.is_empty()).collect()
}

/// Splits where `separator` is not quoted; `None` when a quote stays open.
fn outside_quotes(line: &[u8], separator: u8) -> Option<Vec<Vec<u8>>> {
    let (mut parts, mut quoted, mut bytes) = (vec![Vec::new()], false, line.iter().copied());
    while let Some(byte) = bytes.next() {
        if byte == separator && !quoted {
            parts.push(Vec::new());
            continue;
        }
        parts.last_mut()?.push(byte);
        if byte == b'"' {
            quoted = !quoted;
        } else if byte == b'\\' && quoted {
            parts.last_mut()?.push(bytes.next()?);
        }
    }
    let parts = parts.iter().map(|part| trim(part));
    (!quoted).then(|| parts.filter(|part| !part.is_empty()).collect())
}

/// The `for` of one element of `Forwarded` (RFC 7239 section 4).
fn element(text: &[u8], strips_zones: bool) -> Node {
    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    for pair in outside_quotes(text, b';').ok_or("malformed")? {
        let equals = pair.iter().position(|&b| b == b'=').ok_or("malformed")?;
        let name = String::from_utf8(pair[..equals].to_ascii_lowercase()).map_err(|_| "malformed")?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err("malformed");
        }
        let value = value(&pair[equals + 1..], name == "for").ok_or("malformed")?;
        let known = ["for", "by", "host", "proto"].contains(&&name[..]);
        if known && seen.iter().any(|(other, _)| *other == name) {
            return Err("malformed");
        }
        seen.push((name, value));
    }
    let (_, name) = seen.iter().find(|(name, _)| name == "for").ok_or("no-for")?;
    rfc7239_node(name, strips_zones)
}

/// A token, or what a quoted string means (RFC 9110 sections 5.6.2 and 5.6.4). Anything but `for` may hold colons.
fn value(text: &[u8], is_for: bool) -> Option<Vec<u8>> {
    if text.first() != Some(&b'"') {
        let fits = text.iter().all(|&b| is_token(b) || (b == b':' && !is_for));
        return (fits && !text.is_empty()).then(|| text.to_vec());
    }
    let (mut meant, mut escapes, mut bytes) = (Vec::new(), false, text[1..].iter().copied());
    loop {
        let byte = match bytes.next()? {
            b'"' => break,
            b'\\' => {
                escapes = true;
                bytes.next()?
            }
            byte => byte,
        };
        if byte == 0x7f || (byte < 0x20 && byte != b'\t') {
            return None;
        }
        meant.push(byte);
    }
    // A node that is written with escapes is read up to 80 bytes.
    let too_long = is_for && escapes && meant.len() > 80;
    (bytes.next().is_none() && !too_long).then_some(meant)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char::from(byte))
}

/// `node-name [ ":" node-port ]` (RFC 7239 section 6).
fn rfc7239_node(text: &[u8], strips_zones: bool) -> Node {
    let text = std::str::from_utf8(text).map_err(|_| "malformed")?;
    let end = if text.starts_with('[') {
        text.find(']').map(|at| at + 1)
    } else {
        text.find(':')
    };
    let (name, after) = text.split_at(end.unwrap_or(text.len()));
    let port = match after.strip_prefix(':') {
        None if after.is_empty() => None,
        Some(hidden) if hidden.starts_with('_') => None,
        digits => Some(digits.and_then(port).ok_or("malformed")?),
    };
    match name.strip_prefix('[') {
        _ if name.eq_ignore_ascii_case("unknown") || name.starts_with('_') => Err("unidentified"),
        Some(rest) => said(rest.strip_suffix(']').and_then(|v6| ipv6(v6, strips_zones)), port),
        None => said(ipv4(name), port),
    }
}

/// An entry of `X-Forwarded-For`: each of its five forms in turn.
pub(crate) fn node(text: &[u8], strips_zones: bool) -> Node {
    let text = std::str::from_utf8(text).map_err(|_| "malformed")?;
    if text.eq_ignore_ascii_case("unknown") || text.starts_with('_') {
        return Err("unidentified");
    }
    if let Some(ip) = ipv4(text).or_else(|| ipv6(text, strips_zones)) {
        return said(Some(ip), None);
    }
    let in_brackets = |text: &str| {
        let inside = text.strip_prefix('[')?.strip_suffix(']')?;
        ipv6(inside, strips_zones).filter(|_| !inside.contains(']'))
    };
    if let Some(ip) = in_brackets(text) {
        return said(Some(ip), None);
    }
    let (address, digits) = text.rsplit_once(':').ok_or("malformed")?;
    let ip = ipv4(address).or_else(|| in_brackets(address));
    said(ip, Some(port(digits).ok_or("malformed")?))
}

fn said(ip: Option<IpAddr>, port: Option<u16>) -> Node {
    let ip = ip.map(|ip| ip.to_canonical()).filter(|ip| !ip.is_unspecified());
    ip.map(|ip| (ip, port)).ok_or("malformed")
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port: &u16| port.to_string() == text)
}

fn ipv4(text: &str) -> Option<IpAddr> {
    let octets: Option<Vec<u8>> = text.split('.').map(|part| part.parse().ok()).collect();
    let octets: [u8; 4] = octets?.try_into().ok()?;
    let ip = Ipv4Addr::from(octets);
    (ip.to_string() == text).then_some(ip.into())
}

fn ipv6(text: &str, strips_zones: bool) -> Option<IpAddr> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(a, z)| (a, Some(z)));
    let allowed = zone.is_none_or(|zone| strips_zones && !zone.is_empty());
    address
        .parse::<Ipv6Addr>()
        .ok()
        .filter(|_| allowed)
        .map(IpAddr::V6)
}
