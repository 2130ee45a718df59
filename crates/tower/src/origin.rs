//! What the client asked for, owned, so that it can travel with the request.

use truehop::{Origin, Scheme};

/// What the client asked for, as far as the policy believes claims about it: [`truehop::Origin`], owned.
///
/// [`ClientLayer`](crate::ClientLayer) puts it into the request's extensions when the policy's key `origin` names a
/// part and a proxy that is believed told it. `None`: nobody who is believed said so; then what the request itself
/// says (`Host`, the listener's scheme) is all there is. With the feature `axum` it is an extractor.
///
/// # Examples
///
/// ```
/// use truehop_tower::ClientOrigin;
/// use truehop_tower::truehop::Scheme;
///
/// fn is_secure(origin: &ClientOrigin) -> bool {
///     origin.scheme == Some(Scheme::Https)
/// }
/// # assert!(!is_secure(&ClientOrigin::default()));
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ClientOrigin {
    /// The scheme by which the client spoke to the first proxy.
    pub scheme: Option<Scheme>,
    /// The host, as in a `Host` field: a name or address, perhaps with a port.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
}

impl ClientOrigin {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.scheme.is_none() && self.host.is_none() && self.port.is_none()
    }
}

impl From<Origin<'_>> for ClientOrigin {
    fn from(origin: Origin<'_>) -> Self {
        Self {
            scheme: origin.scheme,
            host: origin.host.map(String::from),
            port: origin.port,
        }
    }
}
