//! What stands in the log.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex};

use http::StatusCode;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::*;

/// Keeps what this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("truehop_drop")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        struct Line<'a>(&'a mut String);
        impl Visit for Line<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                fmt::Write::write_fmt(self.0, format_args!("{field}={value:?} ")).unwrap();
            }
        }
        let mut log = self.0.lock().unwrap();
        event.record(&mut Line(&mut log));
        log.push('\n');
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The id is the key to the file.
#[tokio::test]
async fn a_log_names_files_without_their_keys() {
    let log = Log::default();
    // With a single subscriber tracing asks whichever thread comes first, and the other tests' have none.
    let _second = tracing::Dispatch::new(Log::default());
    let _guard = tracing::subscriber::set_default(log.clone());
    let site = Site::with(|c| c.attempts = 1);
    let mut ids = Vec::new();
    for n in 0..5 {
        let file = site.upload("a", "content").await;
        match n {
            0 => drop(site.collect(&file.path, AWAY).await.deliver().await),
            1 => {
                drop(site.collect(&file.path, AWAY).await);
                site.lapse().await;
                site.drop.sweep().await;
            }
            2 => drop(site.send(ask("DELETE", &file.path)).await),
            3 => {
                std::fs::remove_file(site.blob(&file.path, 1)).unwrap();
                site.collect(&file.path, AWAY).await;
            }
            _ => site.advance(std::time::Duration::from_secs(86_400)),
        }
        site.until(&file.path, StatusCode::GONE).await;
        ids.push(file.path.replace("/d/", ""));
    }
    site.drop.sweep().await;
    let missing = site.upload("a", "content").await;
    ids.push(missing.path.replace("/d/", ""));
    let blob = site.blob(&missing.path, 1);
    let site = site.restart(|_, _| std::fs::remove_file(blob).unwrap());
    std::mem::drop(site);
    let log = log.0.lock().unwrap();
    assert!(
        log.lines().filter(|line| line.contains("drop=\"")).count() >= 6,
        "{log}"
    );
    for id in ids {
        assert!(!log.contains(&id), "{log}");
    }
}
