//! What the edge counts, for Prometheus.
//!
//! Invariant: every label value exists from the start and is one of a fixed few; nothing that a client sends becomes
//! a label.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use truehop::{Detector, Suspicion, Unresolved};

/// The edge's counters, with the handles that each request needs at hand.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<Vec<(&'static str, &'static str)>, Counter>,
    by_class: [Counter; 5],
    unresolved: Family<Vec<(&'static str, &'static str)>, Counter>,
    by_reason: Vec<(Unresolved, Counter)>,
    pub(crate) connections: Gauge,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Metrics {
    pub(crate) fn new() -> Self {
        let requests = Family::<Vec<_>, Counter>::default();
        let unresolved = Family::<Vec<_>, Counter>::default();
        Self {
            by_class: CLASSES.map(|class| requests.get_or_create(&vec![("class", class)]).clone()),
            by_reason: Unresolved::ALL
                .into_iter()
                .map(|reason| {
                    (
                        reason,
                        unresolved.get_or_create(&vec![("reason", reason.code())]).clone(),
                    )
                })
                .collect(),
            requests,
            unresolved,
            connections: Gauge::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry, detector: Arc<Detector>) {
        registry.register(
            "truehop_requests",
            "Requests answered, by status class",
            self.requests.clone(),
        );
        registry.register(
            "truehop_unresolved",
            "Requests refused because they have no client, by reason",
            self.unresolved.clone(),
        );
        registry.register(
            "truehop_connections",
            "Open connections of clients",
            self.connections.clone(),
        );
        registry.register_collector(Box::new(Suspicions(detector)));
    }

    pub(crate) fn answered(&self, status: u16) {
        if let Some(counter) = self.by_class.get(usize::from(status / 100).wrapping_sub(1)) {
            counter.inc();
        }
    }

    pub(crate) fn unresolved(&self, reason: Unresolved) {
        if let Some((_, counter)) = self.by_reason.iter().find(|(known, _)| *known == reason) {
            counter.inc();
        }
    }
}

/// Reads the detector when metrics are asked for.
#[derive(Debug)]
struct Suspicions(Arc<Detector>);

impl Collector for Suspicions {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counter = ConstCounter::new(self.0.headers_from_untrusted());
        let metric = encoder.encode_descriptor(
            "truehop_forwarding_headers_from_untrusted",
            "Requests with forwarding headers from peers that the policy does not trust",
            None,
            counter.metric_type(),
        )?;
        counter.encode(metric)?;
        let suspicions = self.0.suspicions();
        let mut family = encoder.encode_descriptor(
            "truehop_suspicions",
            "Peers that look like a proxy which the policy does not know, by sign",
            None,
            MetricType::Gauge,
        )?;
        for code in Suspicion::CODES {
            let count = suspicions
                .iter()
                .filter(|suspicion| suspicion.code() == code)
                .count();
            let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            gauge.encode(family.encode_family(&[("code", code)])?)?;
        }
        Ok(())
    }
}
