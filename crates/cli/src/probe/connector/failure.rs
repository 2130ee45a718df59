//! Why there is no connection, in words, and what mends it.
//!
//! Invariant: a sentence says what was seen. What is only likely stands in the help, behind an "if".

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::Tls;

/// So many names of a certificate are told at most.
const NAMED: usize = 5;
/// What is believed all the same.
const ANY: &str = "--insecure believes any";
/// Who answers TLS's greeting like that may not expect one.
const PLAIN: &str = "if it speaks plain HTTP there, the URL begins with http://";

/// Why there is no connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::probe) struct Failure {
    /// What the server does, to be told behind its address.
    pub(in crate::probe) what: String,
    /// What is to be done.
    pub(in crate::probe) help: String,
}

impl Failure {
    fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        // Names out of the server's certificate may be among it: a terminal must not obey them.
        let tame = |text: String| text.chars().filter(|c| !c.is_control()).collect();
        Self {
            what: tame(what.into()),
            help: tame(help.into()),
        }
    }

    /// The server took no connection, from the address that was chosen.
    pub(super) fn of_tcp(error: &io::Error, from: Option<IpAddr>) -> Self {
        let help = match (error.kind(), from) {
            (ErrorKind::ConnectionRefused, _) => "is it running, and is the port right?".to_owned(),
            (ErrorKind::AddrNotAvailable, Some(from)) => {
                format!("{from} is no address of this machine; --from takes one that is")
            }
            (_, Some(from)) => format!("is there a way to it from {from}, where --from says to come from?"),
            (_, None) => "is there a way to it from here?".to_owned(),
        };
        Self::new(format!("cannot be connected to: {error}"), help)
    }

    /// The server took no connection in time.
    pub(super) fn of_late_tcp(patience: Duration) -> Self {
        Self::new(
            format!("takes no connection within {} s", patience.as_secs()),
            "is the port right, and does no firewall stand between? --timeout waits longer",
        )
    }

    /// The server said nothing of TLS in time.
    pub(super) fn of_late_tls(patience: Duration) -> Self {
        Self::new(
            format!("does not answer TLS's greeting within {} s", patience.as_secs()),
            format!("{PLAIN}; --timeout waits longer"),
        )
    }

    /// The server spoke HTTP/2 before.
    pub(super) fn of_lost_http2() -> Self {
        Self::new(
            "does not speak HTTP/2 any more",
            "do several servers answer there? All must be set up alike",
        )
    }

    /// TLS could not be spoken.
    pub(super) fn of_tls(error: &io::Error, tls: &Tls) -> Self {
        let Some(fault) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else {
            let what = match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                    "closes the connection during TLS's handshake".to_owned()
                }
                _ => format!("breaks off during TLS's handshake: {error}"),
            };
            return Self::new(what, format!("{PLAIN}; if not, its log may say why"));
        };
        let host = tls.name.to_str();
        let versions = "TLS 1.2 and 1.3 are";
        match fault {
            Error::InvalidCertificate(fault) => of_certificate(fault, &host, tls.is_authority_named),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                Self::new("answers with what is no TLS", PLAIN)
            }
            Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
                Self::new(
                    "speaks no version of TLS that is spoken here",
                    format!("{versions}, with the usual ciphers"),
                )
            }
            Error::AlertReceived(AlertDescription::UnrecognisedName) => Self::new(
                format!("does not know the name {host}"),
                "write the name in the URL that it is set up for",
            ),
            Error::AlertReceived(AlertDescription::NoApplicationProtocol) | Error::NoApplicationProtocol => {
                Self::new(
                    "speaks TLS, but no HTTP/1.1 over it",
                    "is the port right? HTTP/1.1 is needed there, whatever else it speaks",
                )
            }
            Error::AlertReceived(alert) => Self::new(
                format!("breaks TLS's handshake off: {alert:?}"),
                format!("its log may say why; {versions} spoken here, without a certificate of our own"),
            ),
            fault => Self::new(
                format!("cannot be spoken TLS with: {fault}"),
                "is the port right? Its log may say more",
            ),
        }
    }
}

/// The server's certificate is not believed.
fn of_certificate(fault: &CertificateError, host: &str, is_authority_named: bool) -> Failure {
    use CertificateError as Fault;

    let shows = |what: String, help: String| {
        Failure::new(format!("shows a certificate {what}"), format!("{help}; {ANY}"))
    };
    match fault {
        // Another authority of the same name signs otherwise.
        Fault::UnknownIssuer | Fault::BadSignature if is_authority_named => shows(
            "that the authority of --ca has not signed".to_owned(),
            "is that its authority, and does it send the certificates that stand between?".to_owned(),
        ),
        Fault::UnknownIssuer => shows(
            "that no authority which this system believes has signed".to_owned(),
            "--ca FILE names its authority. If that is a known one, it must send the certificates that stand between"
                .to_owned(),
        ),
        Fault::ExpiredContext { time, not_after } => shows(
            format!("that expired {} ago", span(time.as_secs().saturating_sub(not_after.as_secs()))),
            "renew it; or is the clock of this machine wrong?".to_owned(),
        ),
        Fault::NotValidYetContext { time, not_before } => shows(
            format!("that is valid in {} only", span(not_before.as_secs().saturating_sub(time.as_secs()))),
            "is one of the clocks wrong?".to_owned(),
        ),
        Fault::NotValidForNameContext { presented, .. } => {
            let named: Vec<&str> = presented.iter().filter_map(|name| server_name(name)).collect();
            let give = format!("give it one with a subjectAltName for {host}");
            match named.as_slice() {
                [] => shows(format!("without the name of a server, and so not for {host}"), give),
                names => {
                    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(" or ");
                    let more = if names.len() > NAMED { " or others" } else { "" };
                    shows(
                        format!("for {shown}{more}, and not for {host}"),
                        format!("write a name that it is for in the URL, or {give}"),
                    )
                }
            }
        }
        fault if is_own_of_authority(fault) => shows(
            "that is an authority's own, and not a server's".to_owned(),
            "make the server's with basicConstraints=CA:FALSE".to_owned(),
        ),
        fault => shows(format!("that is not believed: {fault}"), "its maker may know why".to_owned()),
    }
}

/// The name out of what rustls tells of a certificate's, if it is one that a server can have.
fn server_name(presented: &str) -> Option<&str> {
    let name = ["DnsName(\"", "IpAddress("]
        .iter()
        .find_map(|kind| presented.strip_prefix(kind))?;
    Some(name.trim_end_matches(')').trim_end_matches('"'))
}

fn is_own_of_authority(fault: &CertificateError) -> bool {
    fault.to_string().contains("CaUsedAsEndEntity")
}

/// A time in its largest unit.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7200 => (seconds / 60, "minutes"),
        7200..172_800 => (seconds / 3600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::UnixTime;

    use super::*;

    fn told(fault: &CertificateError) -> Failure {
        of_certificate(fault, "a.example", false)
    }

    #[test]
    fn a_certificate_out_of_its_time_is_told_with_how_long() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for (seconds, span) in [
            (1, "1 s"),
            (119, "119 s"),
            (120, "2 minutes"),
            (7200, "2 hours"),
            (172_799, "47 hours"),
            (864_000, "10 days"),
        ] {
            let (time, not_after) = (at(1_000_000 + seconds), at(1_000_000));
            let expired = told(&CertificateError::ExpiredContext { time, not_after });
            assert_eq!(
                expired.what,
                format!("shows a certificate that expired {span} ago")
            );
            assert!(expired.help.starts_with("renew it") && expired.help.ends_with(ANY));
            let (time, not_before) = (at(1_000_000), at(1_000_000 + seconds));
            let early = told(&CertificateError::NotValidYetContext { time, not_before });
            assert_eq!(
                early.what,
                format!("shows a certificate that is valid in {span} only")
            );
        }
    }

    #[test]
    fn the_names_of_a_certificate_are_few_and_cannot_reach_the_terminal() {
        let names = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: "a.example".try_into().unwrap(),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        let many = ["DnsName(\"b\u{1b}[2J\")"; NAMED + 1];
        let many = told(&names(&many)).what;
        assert!(!many.contains('\u{1b}'), "{many:?}");
        assert_eq!(many.matches("b[2J").count(), NAMED, "{many}");
        assert!(many.ends_with(" or others, and not for a.example"), "{many}");
        let address = told(&names(&["IpAddress(192.0.2.7)", "DirectoryName"])).what;
        assert_eq!(
            address,
            "shows a certificate for 192.0.2.7, and not for a.example"
        );
    }

    #[test]
    fn where_there_is_no_way_the_address_that_was_chosen_is_asked_about() {
        let from: IpAddr = [192, 0, 2, 7].into();
        for (kind, chosen, help) in [
            (ErrorKind::ConnectionRefused, Some(from), "is it running"),
            (
                ErrorKind::AddrNotAvailable,
                Some(from),
                "192.0.2.7 is no address of this machine",
            ),
            (ErrorKind::NetworkUnreachable, Some(from), "from 192.0.2.7"),
            (ErrorKind::NetworkUnreachable, None, "from here"),
        ] {
            let failure = Failure::of_tcp(&kind.into(), chosen);
            assert!(failure.help.contains(help), "{failure:?}");
        }
    }
}
