//! What the drop counts.
//!
//! Invariant: labels come from closed sets, so that no visitor can make the list longer.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::lifecycle::Ending;
use crate::owner::{Mark, Verdict};

/// The counters; clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    uploads: Family<Outcome, Counter>,
    upload_bytes: Counter<u64, AtomicU64>,
    collections: Family<Outcome, Counter>,
    endings: Family<Outcome, Counter>,
    verdicts: Family<Judged, Counter>,
    receiving: Gauge,
    collecting: Gauge,
}

/// How something went; the word is one of a few constants.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Judged {
    verdict: &'static str,
    reason: &'static str,
}

impl Metrics {
    /// What may be counted stands there from the start, with zero.
    pub(crate) fn register(&self, registry: &mut Registry) {
        for ending in Ending::ALL {
            self.endings
                .get_or_create(&Outcome {
                    outcome: ending.word(),
                })
                .inc_by(0);
        }
        for outcome in ["delivered", "partial", "undelivered", "interrupted"] {
            self.collections.get_or_create(&Outcome { outcome }).inc_by(0);
        }
        self.uploads
            .get_or_create(&Outcome { outcome: "ready" })
            .inc_by(0);
        let drop = registry.sub_registry_with_prefix("truehop_drop");
        drop.register("uploads", "Uploads by how they went", self.uploads.clone());
        drop.register(
            "upload_bytes",
            "Bytes of complete uploads",
            self.upload_bytes.clone(),
        );
        drop.register(
            "collections",
            "Downloads by others than the owner, by how they went",
            self.collections.clone(),
        );
        drop.register("endings", "Files that are over, by why", self.endings.clone());
        drop.register(
            "verdicts",
            "Downloads by who asked: the owner, somebody else, or unknown and why",
            self.verdicts.clone(),
        );
        drop.register("receiving", "Uploads under way", self.receiving.clone());
        drop.register("collecting", "Collections under way", self.collecting.clone());
    }

    pub(crate) fn upload(&self, outcome: &'static str) {
        self.uploads.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn uploaded_bytes(&self, size: u64) {
        self.upload_bytes.inc_by(size);
    }

    pub(crate) fn collection(&self, outcome: &'static str) {
        self.collections.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn ending(&self, ending: Ending) {
        self.endings
            .get_or_create(&Outcome {
                outcome: ending.word(),
            })
            .inc();
    }

    pub(crate) fn verdict(&self, verdict: Verdict) {
        let (verdict, reason) = match verdict {
            Verdict::Owner(Mark::Token) => ("owner", "token"),
            Verdict::Owner(Mark::Address) => ("owner", "address"),
            Verdict::Other => ("other", ""),
            Verdict::Unknown(reason) => ("unknown", reason.code()),
        };
        self.verdicts.get_or_create(&Judged { verdict, reason }).inc();
    }

    /// Counts an upload as under way until the guard is dropped.
    pub(crate) fn receiving(&self) -> UnderWay {
        UnderWay::new(&self.receiving)
    }

    /// Counts a collection as under way until the guard is dropped.
    pub(crate) fn collecting(&self) -> UnderWay {
        UnderWay::new(&self.collecting)
    }
}

/// One of something, for as long as it lives.
#[derive(Debug)]
pub(crate) struct UnderWay(Gauge);

impl UnderWay {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}
