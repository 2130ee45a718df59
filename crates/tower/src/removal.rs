//! Removes what has been decided upon, so that nobody decides again.
//!
//! Invariant: a name goes when it equals one of the names after every `_` has been read as `-`. CGI and WSGI spell both
//! the same, so `X_Forwarded_For` would otherwise reach an application behind them as `X-Forwarded-For`.

use http::{HeaderMap, HeaderName};
use truehop::FORWARDING_HEADERS;

/// Removes the forwarding headers, the policy's own header (in lower case) and the underscore twins of all of them.
pub(crate) fn remove_forwarding(headers: &mut HeaderMap, own: Option<&str>) {
    let tells = |name: &str| {
        own.is_some_and(|own| is_twin(name, own))
            || FORWARDING_HEADERS.iter().any(|other| is_twin(name, other))
    };
    let telling: Vec<HeaderName> = headers
        .keys()
        .filter(|name| tells(name.as_str()))
        .cloned()
        .collect();
    for name in telling {
        headers.remove(name);
    }
}

fn is_twin(name: &str, other: &str) -> bool {
    let dashed = |b| if b == b'_' { b'-' } else { b };
    name.len() == other.len()
        && name
            .bytes()
            .zip(other.bytes())
            .all(|(a, b)| dashed(a) == dashed(b))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn left(names: &[&'static str], own: Option<&str>) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_static("1.2.3.4"),
            );
        }
        remove_forwarding(&mut headers, own);
        headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn every_forwarding_header_goes_on_all_its_lines_with_its_twins() {
        for name in FORWARDING_HEADERS {
            let underscored: &'static str = name.replace('-', "_").leak();
            assert_eq!(left(&[name, "host", name, underscored], None), ["host"]);
        }
        assert_eq!(left(&["X_Forwarded-For", "x-forwarded_for"], None), [""; 0]);
    }

    #[test]
    fn the_policys_own_header_goes_and_what_only_looks_alike_stays() {
        assert_eq!(
            left(
                &["CF-Connecting-IP", "cf_connecting_ip", "accept"],
                Some("cf-connecting-ip")
            ),
            ["accept"]
        );
        let alike = [
            "x-forwarded-user",
            "x-forwarded-for-extra",
            "xforwarded-for",
            "via",
        ];
        assert_eq!(left(&alike, Some("cf-connecting-ip")), alike);
    }

    #[test]
    fn a_policy_whose_header_has_underscores_loses_the_dashed_one_too() {
        assert_eq!(left(&["real_ip", "real-ip"], Some("real_ip")), [""; 0]);
    }
}
