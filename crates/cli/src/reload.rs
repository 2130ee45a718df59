//! Files of trusted networks are read again when they change.
//!
//! Invariant: a bad file never replaces a good one. The policy of a running server changes only into one that was built
//! whole; what is wrong with a file is told once for each of its versions.

use std::convert::Infallible;
use std::fs;
use std::future;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;
use truehop_edge::LivePolicy;

use crate::config::Checked;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Follows the files for as long as the server runs.
pub(crate) async fn follow(config: &Checked, live: &LivePolicy) -> Infallible {
    let files = config.policy_files();
    if files.is_empty() {
        return future::pending().await;
    }
    let mut seen = versions(files);
    loop {
        sleep(PAUSE).await;
        let now = versions(files);
        if now == seen {
            continue;
        }
        seen = now;
        match config.policy_again() {
            Ok(policy) => {
                tracing::info!(%policy, "trusted networks were read again");
                live.replace(policy);
            }
            Err(faults) => tracing::error!("the old trusted networks stay, because of:\n{faults}"),
        }
    }
}

/// What tells one version of a file from the next.
type Version = Option<(u64, u64, SystemTime)>;

fn versions(files: &[PathBuf]) -> Vec<Version> {
    let version = |file: &PathBuf| {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.ino(), metadata.len(), metadata.modified().ok()?))
    };
    files.iter().map(version).collect()
}
