//! What can go wrong, and how each is met.
//!
//! Each of these happened: to a web framework, a proxy, a library, or to those who configured one. The examples take
//! `6.6.6.6` for what an attacker writes. "The properties" are the tests in `tests/properties.rs`, "the cases" those in
//! `tests/cases/client-address.jsonl`.
//!
//! # Whom is believed
//!
//! **1. The leftmost entry.** The left end of a list is what the client sent: whoever takes it takes `6.6.6.6`. Lists
//! are walked from the right. Only [`OnAllTrusted::Leftmost`] ever reaches the left end, when every entry is trusted,
//! and [lint](crate::Policy::lint) calls it `all-trusted-is-leftmost`.
//!
//! **2. No look at the peer.** A library that reads the header from whoever connects believes everybody who finds the
//! port. Here the peer is tested before any header is looked at; headers of an untrusted peer have no effect at all.
//! Property: `no_header_changes_the_answer_when_the_peer_is_untrusted`.
//!
//! **3. Everything trusted by default.** Several libraries trust every peer until told otherwise. Here `trusted` must be
//! written, `0.0.0.0/0` and `::/0` are refused, and the way to trust everybody is the word `any`, which reviewers can
//! search for. Halves such as `0.0.0.0/1` get the lint `wide-rule`.
//!
//! **4. Private networks trusted silently.** Then a neighbour's container can forge, and a client with a private address
//! is skipped. No network is trusted unless it is written; the set [`private`](crate::NamedSet) must be named, and gets
//! the lint `private-on-public` where strangers can connect.
//!
//! **5. Falling over to another header.** With a list of headers, the one that the proxy does not set is the client's to
//! write. A [`Policy`] reads one; the others are only [shown](crate::Explanation::ignored).
//!
//! **6. `Forwarded` preferred whenever it is there.** A proxy that sets `X-Forwarded-For` passes the client's
//! `Forwarded` on. The policy says which of the two is read; [`CrossCheck`] makes a disagreement an error.
//!
//! # Which part of the header
//!
//! **7. Only the first line, or only the last.** Some proxies append to the last line, others add a line. All lines are
//! one list, in their order.
//!
//! **8. Entries that are no address skipped.** The walk then slides on into what the client wrote. An entry that cannot
//! be read ends the walk with [`Unresolved::Malformed`].
//!
//! **9. Entries that are no address returned.** Then `<script>` is an address in logs and in keys of limits. A
//! [`Client`] holds an [`IpAddr`](std::net::IpAddr), and nothing but a resolution makes one.
//!
//! **10. The proxy's address instead of an error.** The attacker gets the proxy's permissions and uses up its limits.
//! There is no client unless the policy says [`Otherwise::Peer`], and then lint says what follows.
//!
//! **11. One bad byte on the left voids everything.** Then any client can hide behind the proxy. What stands left of the
//! answer is never looked at; only quotes of a `Forwarded` field must balance (23). Property:
//! `adding_entries_left_of_the_client_never_changes_it`.
//!
//! **12. A list that is too short.** The request came round one of the proxies. [`Unresolved::TooFewHops`], not the
//! leftmost entry.
//!
//! **13. Counting from another end.** Projects count proxies, skipped entries or distances, from 0 or from 1. Here
//! `hops = 1` is the rightmost entry, which the nearest proxy wrote; with `6.6.6.6, 203.0.113.95, 192.168.0.10`,
//! `hops = 2` gives `203.0.113.95`.
//!
//! **14. A count where paths differ.** If some requests cross one proxy and others two, no number is right. Walk by
//! `trusted` instead; or make the length exact with `max_hops` equal to `hops`. Without a list of peers a count gets the
//! lint `hops-without-gate`.
//!
//! # How addresses are spelt
//!
//! **15. `::ffff:10.0.0.1` misses `10.0.0.0/8`.** A socket that listens on IPv6 sees IPv4 peers so. Peers, hops and
//! rules are all folded to IPv4. NAT64 and 6to4 are not: they are other networks.
//!
//! **16. `012.0.0.2`, `0x0a000002`, `167772162`.** Lenient parsers read them as `10.0.0.2`, a trusted proxy. Only dotted
//! decimal without leading zeros is an address.
//!
//! **17. Ports and brackets.** `1.2.3.4:5678`, `[v6]:443`, `[v6]` and bare IPv6 are all read and the port is kept.
//! `v6:port` without brackets is ambiguous, and is read only under [`Format::IpPortUnbracketed`].
//!
//! **18. Zone ids.** `fe80::1%eth0` and `fe80::1` are one host with two keys. In a header a zone id is malformed, or
//! [stripped](OnZone::Strip); on a peer it is dropped.
//!
//! # What lies between
//!
//! **19. `Connection: X-Real-IP`.** A proxy that honours it removes its own header, or the next one does. When
//! `Connection` names the header that the policy reads, the answer is [`Unresolved::HopByHop`]; and a missing header from
//! a trusted peer is an error anyway.
//!
//! **20. `X_Forwarded_For`.** Gateways that turn names into variables cannot tell it from the real one. Names are
//! compared exactly here, so a twin is another header; a name with an underscore gets the lint `underscore-name`. An
//! application behind such a gateway needs a proxy that drops twins: nginx does so by default.
//!
//! **21. A single-value header twice.** The first line may be the client's and the second the proxy's, or the other way
//! round. [`Unresolved::DuplicateHeader`], unless the policy says [`OnDuplicate::Last`].
//!
//! **22. Scheme and host from somebody else.** `X-Forwarded-Host` from anyone makes links to anywhere. [`Policy::origin`]
//! believes only what the key `origin` names, from the hop whose word made the client.
//!
//! **23. Commas and semicolons inside of quotes.** Who splits `Forwarded` at commas lets a quote in the client's part
//! swallow the proxy's. It is read as RFC 7239 says, escapes included; a line whose quotes do not balance voids the
//! field.
//!
//! **24. `for=2001:db8::1`, `for = x`, `for='x'`, two `for`.** Not of the grammar, and so malformed. Guessing what was
//! meant is guessing an address.
//!
//! **25. `unknown` and `_hidden`.** Whoever skips them believes what stands to the left, which the client wrote.
//! [`Unresolved::Unidentified`].
//!
//! **26. Empty elements.** `, ,1.2.3.4` has one element (RFC 9110 section 5.6.1). Empty ones are ignored, and never
//! count as hops.
//!
//! **27. Very long lists.** The walk goes from the right and stops at the client, allocates nothing, and so costs the
//! same however much is forged on the left. `max_hops` refuses long lists as a whole.
//!
//! **28. Unix sockets.** Their peer has no address. Some trust it always, some never; here the word `unix` must be
//! written, and a Unix peer alone gives [`Unresolved::NoAddress`].
//!
//! # PROXY headers
//!
//! **29. A header that may be there or not.** Then every client can send one. By peer it is either required or
//! forbidden: [`Policy::preface`] never guesses.
//!
//! **30. No list of senders, no bounds.** `trusted` is required; [`Preface::feed`](crate::proxy_protocol::Preface::feed)
//! says how many bytes it needs and never wants more than the header's own limit. Time is the caller's to bound.
//!
//! **31. `+80`, `080`, `1_2`.** Integer parsers of most languages take one of them. Ports are digits without leading
//! zeros, to 65535.
//!
//! **32. `LOCAL`, `UNKNOWN`, `UNSPEC`.** The sender has nobody to name, as in its own health checks. They are accepted
//! whatever else they carry, which is skipped unread, and the peer stands for itself.
//!
//! **33. Checksums not checked.** The specification says that a receiver must. A wrong CRC32c is an error.
//!
//! # Who writes the settings
//!
//! **34. Typos.** `10.0.0.2/33` and `10.0.0.300` are a [`BadPolicy`], which names the key, the place and the mend, also
//! in a [file](PolicyConfig::build_with); never a rule that silently matches nobody. `10.0.0.2/26` means the network,
//! and gets the lint `host-bits`.
//!
//! **35. The first proxy appends.** With `$proxy_add_x_forwarded_for` at the edge the list begins with `6.6.6.6`. Here
//! that changes nothing, since the walk stops before; for the sake of other readers the [recipes](super::recipes)
//! overwrite.
//!
//! **36. The proxy's own address lost.** Who overwrites the remote address cannot audit. A [`Resolution`] keeps the
//! peer, the client and [the hops between](Policy::hops) apart.
//!
//! **37. Lists that replace others, and lists that grow old.** Nothing is trusted by default, so nothing is replaced
//! unseen. A provider's networks are a [snapshot with a date](crate::NamedSet::taken): a network that it gave up may be
//! anybody's, and one that it added looks like a client. Lint says `stale-set` after
//! [180 days](crate::NamedSet::STALE_AFTER_DAYS), and a [file](PolicyConfig::build_with) can be as fresh as you keep it.
//!
//! # What no policy can do
//!
//! It cannot know that a trusted proxy tells the truth, that a provider serves *you* when it connects (its other
//! customers use the same machines), or that an address is one person. It cannot see a connection that a NAT in front
//! of the proxy rewrote. And it does not keep strangers from connecting: that is a firewall's work.

#[expect(unused_imports, reason = "for the links above")]
use crate::{
    BadPolicy, Client, CrossCheck, Format, OnAllTrusted, OnDuplicate, OnZone, Otherwise, Policy,
    PolicyConfig, Resolution, Unresolved,
};
