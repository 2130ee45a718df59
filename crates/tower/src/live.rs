//! A policy that can be replaced while a server runs.
//!
//! Invariants: a request is judged by one policy from its arrival to its origin, the one that was there when it came.
//! And whether connections begin with a PROXY header never changes: those that are open have been looked at, or not.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use truehop::Policy;

/// A policy that can be replaced while a server runs: for trusted networks that are read from files.
///
/// Its clones are handles of the same policy. Give one to [`ClientLayer::new`](crate::ClientLayer::new) and keep another.
/// Reading it for a request takes no lock, however often it is replaced.
///
/// # Examples
///
/// The trusted proxies stand in a file, one a line. What a bad file says is told, and the old policy stays.
///
/// ```
/// use truehop_tower::truehop::{Peer, Policy, PolicyConfig};
/// use truehop_tower::{ClientLayer, LivePolicy};
///
/// /// Call it when the file may have changed: every minute, say, or when a signal comes.
/// fn reload(
///     words: &PolicyConfig,
///     load: &dyn Fn(&str) -> Result<String, String>,
///     live: &LivePolicy,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     live.replace(words.clone().build_with(load)?)?;
///     Ok(())
/// }
///
/// // In a server `load` is |name| fs::read_to_string(directory.join(name)).map_err(|error| error.to_string()).
/// let words = Policy::x_forwarded_for().trusted(["file:proxies.txt"]);
/// let live = LivePolicy::new(words.clone().build_with(&|_| Ok("10.0.0.1".into()))?);
/// let layer = ClientLayer::new(live.clone());
///
/// let spare: Peer = "10.0.0.2:40000".parse()?;
/// assert!(!layer.policy().trusts(spare));
/// reload(&words, &|_| Ok("10.0.0.1\n10.0.0.2  # the spare one\n".into()), &live)?;
/// assert!(layer.policy().trusts(spare));
/// assert!(reload(&words, &|_| Ok("10.0.0.300\n".into()), &live).is_err());
/// assert!(layer.policy().trusts(spare));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LivePolicy(Arc<ArcSwap<Policy>>);

impl LivePolicy {
    /// Begins with `policy`.
    pub fn new(policy: impl Into<Arc<Policy>>) -> Self {
        Self(Arc::new(ArcSwap::new(policy.into())))
    }

    /// Replaces the policy for all requests to come. Those that are under way keep the one that they met.
    ///
    /// # Errors
    ///
    /// [`OtherStart`], and the old policy stays, when only one of the two reads PROXY headers.
    pub fn replace(&self, policy: impl Into<Arc<Policy>>) -> Result<(), OtherStart> {
        let policy = policy.into();
        // Whoever replaces at the same time keeps this as it is, too.
        if policy.reads_proxy_protocol() != self.0.load().reads_proxy_protocol() {
            return Err(OtherStart);
        }
        self.0.store(policy);
        Ok(())
    }

    /// The policy as it is now.
    pub fn current(&self) -> Arc<Policy> {
        self.0.load_full()
    }

    /// The policy as it is now, for as long as one request is looked at.
    pub(crate) fn load(&self) -> impl Deref<Target = Arc<Policy>> {
        self.0.load()
    }
}

impl From<Policy> for LivePolicy {
    fn from(policy: Policy) -> Self {
        Self::new(policy)
    }
}

impl From<Arc<Policy>> for LivePolicy {
    fn from(policy: Arc<Policy>) -> Self {
        Self::new(policy)
    }
}

/// A policy that reads PROXY headers cannot take the place of one that does not, nor the other way round: connections
/// that are open would be misread. Start the server anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OtherStart;

impl fmt::Display for OtherStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whether connections begin with a PROXY header cannot change while the server runs")
    }
}

impl Error for OtherStart {}
