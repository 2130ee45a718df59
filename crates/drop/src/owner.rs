//! Is this the owner? Pure: the token and the resolved client go in, a verdict comes out.
//!
//! The rule is the drop's own: its uploader may have narrowed the configured one.
//!
//! 1. A token whose SHA-256 is the stored one makes the owner, under `token` and `either`.
//! 2. Under `address` and `either` so does the uploader's address: HMAC-SHA256, keyed with the drop's salt, of the
//!    canonical address. IPv4-mapped IPv6 is unmapped first and IPv6 masked after, never the other way round: a mask
//!    before would make all of IPv4 one owner.
//! 3. A client that a proxy stands in for has no address to compare: the verdict is *unknown*, and so it is when the
//!    uploader had none. For deletion, unknown counts as somebody else.
//!
//! Invariant: an address is a resolved one, and what is kept of it cannot be read back without the drop's salt.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use truehop_tower::truehop::Resolution;

use crate::config::OwnerRule;
use crate::secret::SecretHash;

/// Per-drop key of the address digests; erased with the last file.
pub(crate) type Salt = [u8; 32];

/// What is kept of an address. Compared in constant time.
#[derive(Clone, Copy)]
pub(crate) struct AddressDigest([u8; 32]);

impl AddressDigest {
    pub(crate) fn stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl PartialEq for AddressDigest {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for AddressDigest {}

impl fmt::Debug for AddressDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressDigest")
    }
}

/// Why nobody can say whether this is the owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unknown {
    /// A proxy stands in for this client, for the reason with this code.
    Client(&'static str),
    /// A proxy stood in for the uploader.
    Uploader,
}

impl Unknown {
    /// For metrics and the catalog.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Client(code) => code,
            Self::Uploader => "uploader-unknown",
        }
    }
}

/// By what the owner was recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    Token,
    Address,
}

/// Who is asking for a drop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Owner(Mark),
    Other,
    Unknown(Unknown),
}

/// What was kept of the owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<'a> {
    /// The rule that the drop was uploaded under.
    pub(crate) rule: OwnerRule,
    pub(crate) token_hash: &'a SecretHash,
    /// `None` once the files are gone.
    pub(crate) salt: Option<&'a Salt>,
    /// `None` when the rule uses no address, when it was unknown, or once the files are gone.
    pub(crate) uploader: Option<&'a AddressDigest>,
}

/// How owners are recognised here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recognition {
    /// The configured rule. A drop may have a narrower one of its own.
    pub(crate) rule: OwnerRule,
    pub(crate) ipv6_prefix: u8,
}

impl Recognition {
    /// Judges a client that shows `tokens`; there may be several, as a cookie may be sent several times.
    pub(crate) fn judge<'t>(
        &self,
        kept: Kept<'_>,
        tokens: impl IntoIterator<Item = &'t str>,
        client: &Resolution,
    ) -> Verdict {
        let shown = tokens
            .into_iter()
            .any(|token| SecretHash::of(token) == *kept.token_hash);
        if shown && kept.rule.uses_token() {
            return Verdict::Owner(Mark::Token);
        }
        if !kept.rule.uses_address() {
            return Verdict::Other;
        }
        if let Some(reason) = client.instead_of() {
            return Verdict::Unknown(Unknown::Client(reason.code()));
        }
        match (kept.salt, kept.uploader) {
            (Some(salt), Some(uploader)) => match self.digest(salt, client) {
                Some(digest) if digest.is(uploader) => Verdict::Owner(Mark::Address),
                _ => Verdict::Other,
            },
            // A drop that is gone keeps no address; nothing is decided by this any more.
            (None, _) => Verdict::Other,
            (Some(_), None) => Verdict::Unknown(Unknown::Uploader),
        }
    }

    /// The rule of a new drop whose uploader asks for `asked`: narrower than the configured one or the same, never wider.
    /// `None` when that may not be.
    pub(crate) fn narrowed(&self, asked: Option<&str>) -> Option<OwnerRule> {
        let Some(word) = asked else {
            return Some(self.rule);
        };
        let asked = OwnerRule::parse(word)?;
        (self.rule == OwnerRule::Either || asked == self.rule).then_some(asked)
    }

    /// What is kept of the uploader's address: nothing when the drop's rule does not use it, or when it is unknown.
    pub(crate) fn keep(&self, rule: OwnerRule, salt: &Salt, client: &Resolution) -> Option<AddressDigest> {
        rule.uses_address().then(|| self.digest(salt, client)).flatten()
    }

    /// The digest of a client's address; `None` when a proxy stands in for the client.
    pub(crate) fn digest(&self, salt: &Salt, client: &Resolution) -> Option<AddressDigest> {
        match client.instead_of() {
            Some(_) => None,
            None => Some(digest(salt, client.client().ip(), self.ipv6_prefix)),
        }
    }
}

fn digest(salt: &Salt, ip: IpAddr, ipv6_prefix: u8) -> AddressDigest {
    // A key of any length is a key for HMAC, but 32 bytes is what the block takes without hashing.
    let mut block = [0; 64];
    block[..32].copy_from_slice(salt);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            mac.update(b"4");
            mac.update(&ip.octets());
        }
        IpAddr::V6(ip) => {
            mac.update(b"6");
            mac.update(&masked(ip, ipv6_prefix).octets());
        }
    }
    AddressDigest(mac.finalize().into_bytes().into())
}

fn masked(ip: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let shift = 128 - u32::from(prefix.min(128));
    let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
    Ipv6Addr::from(u128::from(ip) & mask)
}

#[cfg(test)]
mod tests {
    use truehop_tower::truehop::{Otherwise, Peer, Policy};

    use super::*;

    const SALT: Salt = [7; 32];

    fn client(ip: &str) -> Resolution {
        let headers: [(&str, &str); 0] = [];
        Policy::peer()
            .resolve(ip.parse::<Peer>().unwrap(), &headers[..])
            .unwrap()
    }

    fn stood_in_for() -> Resolution {
        let headers: [(&str, &str); 0] = [];
        let policy = Policy::header("X-Real-IP")
            .trusted(["127.0.0.1"])
            .on_missing(Otherwise::Peer)
            .build();
        policy
            .unwrap()
            .resolve(
                "127.0.0.1:1".parse::<truehop_tower::truehop::Peer>().unwrap(),
                &headers[..],
            )
            .unwrap()
    }

    fn judge(rule: OwnerRule, uploader: &Resolution, token: Option<&str>, asking: &Resolution) -> Verdict {
        // The drop's own rule counts, not the configured one.
        let recognition = Recognition {
            rule: OwnerRule::Either,
            ipv6_prefix: 64,
        };
        let kept = recognition.keep(rule, &SALT, uploader);
        let kept = Kept {
            rule,
            token_hash: &SecretHash::of("secret"),
            salt: Some(&SALT),
            uploader: kept.as_ref(),
        };
        recognition.judge(kept, token, asking)
    }

    #[test]
    fn each_rule_asks_for_what_it_says() {
        let (home, away) = (client("203.0.113.1"), client("203.0.113.2"));
        use OwnerRule::{Address, Either, Token};
        for (rule, token, asking, verdict) in [
            (Either, Some("secret"), &away, Verdict::Owner(Mark::Token)),
            (Either, Some("guess"), &away, Verdict::Other),
            (Either, Some("guess"), &home, Verdict::Owner(Mark::Address)),
            (Either, None, &home, Verdict::Owner(Mark::Address)),
            (Token, Some("secret"), &away, Verdict::Owner(Mark::Token)),
            (Token, None, &home, Verdict::Other),
            (Address, Some("secret"), &away, Verdict::Other),
            (Address, None, &home, Verdict::Owner(Mark::Address)),
        ] {
            assert_eq!(judge(rule, &home, token, asking), verdict, "{rule:?} {token:?}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_owner_and_all_of_mapped_ipv4_is_not() {
        let either = |a: &str, b: &str| judge(OwnerRule::Either, &client(a), None, &client(b));
        let owner = Verdict::Owner(Mark::Address);
        assert_eq!(either("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"), owner);
        assert_eq!(either("2001:db8:1:2::1", "2001:db8:1:3::1"), Verdict::Other);
        assert_eq!(either("::ffff:203.0.113.1", "203.0.113.1"), owner);
        assert_eq!(either("::ffff:203.0.113.1", "::ffff:203.0.113.2"), Verdict::Other);
    }

    #[test]
    fn a_client_that_a_proxy_stands_in_for_is_unknown_and_keeps_no_address() {
        let (home, unknown) = (client("127.0.0.1"), stood_in_for());
        let missing = Verdict::Unknown(Unknown::Client("missing-header"));
        assert_eq!(judge(OwnerRule::Either, &home, None, &unknown), missing);
        assert_eq!(judge(OwnerRule::Either, &unknown, None, &unknown), missing);
        assert_eq!(
            judge(OwnerRule::Either, &unknown, None, &home),
            Verdict::Unknown(Unknown::Uploader)
        );
        assert_eq!(judge(OwnerRule::Token, &unknown, None, &unknown), Verdict::Other);
        assert_eq!(
            judge(OwnerRule::Either, &home, Some("secret"), &unknown),
            Verdict::Owner(Mark::Token)
        );
    }

    #[test]
    fn under_token_no_address_is_kept_and_the_salt_matters() {
        let recognition = Recognition {
            rule: OwnerRule::Either,
            ipv6_prefix: 64,
        };
        let home = client("203.0.113.1");
        assert!(recognition.keep(OwnerRule::Token, &SALT, &home).is_none());
        let one = recognition.keep(OwnerRule::Either, &SALT, &home).unwrap();
        let two = recognition.keep(OwnerRule::Either, &[8; 32], &home).unwrap();
        assert_ne!(one, two);
        assert_eq!(format!("{one:?}"), "AddressDigest");
    }

    #[test]
    fn an_uploader_may_narrow_the_rule_and_not_widen_it() {
        use OwnerRule::{Address, Either, Token};
        let narrowed = |rule, asked| {
            Recognition {
                rule,
                ipv6_prefix: 64,
            }
            .narrowed(asked)
        };
        for rule in [Either, Token, Address] {
            assert_eq!(narrowed(rule, None), Some(rule));
            assert_eq!(narrowed(rule, Some(rule.word())), Some(rule));
            assert_eq!(narrowed(rule, Some("nobody")), None);
        }
        assert_eq!(narrowed(Either, Some("token")), Some(Token));
        assert_eq!(narrowed(Either, Some("address")), Some(Address));
        for (rule, asked) in [
            (Token, "either"),
            (Token, "address"),
            (Address, "either"),
            (Address, "token"),
        ] {
            assert_eq!(narrowed(rule, Some(asked)), None, "{rule:?} {asked}");
        }
    }

    #[test]
    fn unmapping_comes_before_the_mask() {
        let of = |ip: &str| digest(&SALT, ip.parse().unwrap(), 64);
        assert!(of("::ffff:203.0.113.1").is(&of("203.0.113.1")));
        assert!(!of("::ffff:203.0.113.1").is(&of("::ffff:203.0.113.2")));
    }

    #[test]
    fn masks_keep_the_leading_bits() {
        let ip: Ipv6Addr = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff".parse().unwrap();
        assert_eq!(masked(ip, 128), ip);
        assert_eq!(masked(ip, 64).to_string(), "2001:db8:aaaa:bbbb::");
        assert_eq!(masked(ip, 48).to_string(), "2001:db8:aaaa::");
    }
}
