//! A forgery with every word replaced.

use std::net::Ipv4Addr;

/// Who plays whom: what the words of the file stand for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cast {
    /// Whom the sender would like to be.
    pub forged: Ipv4Addr,
    /// A proxy that the application trusts, as far as the sender can guess.
    pub trusted: Ipv4Addr,
}

/// Whom a request goes to, and who says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place<'a> {
    /// The host that is asked for, with its port unless it is the usual one.
    pub host: &'a str,
    /// Where the application tells whom it takes for its client: a path that begins with a slash, perhaps with a query.
    pub path: &'a str,
    /// What is sent beside, names and values; what the forgery has by the same name takes its place.
    pub beside: &'a [(&'a str, &'a str)],
}

/// A request as somebody wants it to be sent, well-formed or not.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) host: Vec<u8>,
    pub(crate) beside: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) preface: Vec<u8>,
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) version: Vec<u8>,
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) raw: Vec<u8>,
    pub(crate) trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Request {
    /// What it claims: the values of its fields and trailers, its preface and its raw lines, each without blanks around.
    pub fn claims(&self) -> impl Iterator<Item = &[u8]> {
        self.fields
            .iter()
            .chain(&self.trailers)
            .map(|(_, value)| &value[..])
            .chain([&self.preface[..], &self.raw])
            .map(<[u8]>::trim_ascii)
            .filter(|claim| !claim.is_empty())
    }

    /// Whether a text names one of its fields, trailers or raw lines, in small or large letters.
    pub fn is_quoted_by(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let raw = self.raw.split(|byte| *byte == b'\n');
        let raw = raw.filter_map(|line| line.split(|byte| *byte == b':').next());
        let names = self
            .fields
            .iter()
            .chain(&self.trailers)
            .map(|(name, _)| &name[..]);
        names
            .chain(raw)
            .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
            .any(|name| !name.is_empty() && text.contains(&name))
    }

    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.fields.iter().any(|(had, _)| had.eq_ignore_ascii_case(name))
    }
}
