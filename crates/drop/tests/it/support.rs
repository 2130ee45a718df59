//! Plays the edge: resolves clients, calls the router, takes the courier out of the response.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tower_service::Service;
use truehop_delivery::Courier;
use truehop_drop::{Clock, DropConfig, FileDrop};
use truehop_tower::truehop::{Otherwise, Peer, Policy, Resolution};

pub(crate) const HOME: &str = "203.0.113.1";
/// How often a state is looked for that must come soon; each look waits for the catalog.
pub(crate) const LOOKS: usize = 5000;
pub(crate) const AWAY: &str = "198.51.100.7";
pub(crate) const FIREFOX: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

/// A drop in a directory of its own, with a clock that stands still until it is moved.
pub(crate) struct Site {
    pub(crate) drop: FileDrop,
    pub(crate) router: Router,
    pub(crate) config: DropConfig,
    pub(crate) now: Arc<Mutex<SystemTime>>,
    pub(crate) data: Data,
}

/// Where it lives.
pub(crate) enum Data {
    Own(TempDir),
    At(PathBuf),
}

impl Data {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(directory) => directory.path(),
            Self::At(path) => path,
        }
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut DropConfig)) -> Self {
        let mut config = DropConfig::default();
        change(&mut config);
        Self::open(config, start(), Data::Own(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn at(data: PathBuf) -> Self {
        Self::open(DropConfig::default(), start(), Data::At(data))
    }

    fn open(config: DropConfig, now: Arc<Mutex<SystemTime>>, data: Data) -> Self {
        let told = Arc::clone(&now);
        let clock = Clock::new(move || *told.lock().unwrap());
        let drop = FileDrop::open_with_clock(&config, data.path(), clock).unwrap();
        let router = drop.router();
        Self {
            drop,
            router,
            config,
            now,
            data,
        }
    }

    /// Closes the drop and opens it again; `between` sees the database while nobody has it.
    pub(crate) fn restart(self, between: impl FnOnce(&rusqlite::Connection, &std::path::Path)) -> Self {
        let Self {
            drop,
            router: _,
            config,
            now,
            data,
        } = self;
        drop.close();
        let db = rusqlite::Connection::open(data.path().join("catalog.sqlite")).unwrap();
        between(&db, data.path());
        std::mem::drop(db);
        Self::open(config, now, data)
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.now.lock().unwrap() += by;
    }

    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        send(self.router.clone(), ask).await
    }

    /// Uploads as `curl -T` from [`HOME`].
    pub(crate) async fn upload(&self, name: &str, content: &str) -> Uploaded {
        let answer = self
            .send(ask("PUT", &format!("/{name}")).body(content.to_owned()))
            .await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let link = answer.header("location").to_owned();
        let token = answer
            .headers
            .get("truehop-owner")
            .map(|v| v.to_str().unwrap().to_owned());
        Uploaded {
            path: link.strip_prefix("http://files.test").unwrap().to_owned(),
            link,
            token: token.unwrap_or_default(),
        }
    }

    /// Waits until the page answers so. Each look waits for the catalog, so this does not spin.
    pub(crate) async fn until(&self, path: &str, status: StatusCode) {
        for _ in 0..LOOKS {
            if self.send(ask("GET", path).from(AWAY)).await.status == status {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{path} never answers {status}");
    }

    /// Waits until a collector would be answered so (HEAD changes nothing).
    pub(crate) async fn until_raw(&self, path: &str, status: StatusCode) {
        for _ in 0..LOOKS {
            if self
                .send(ask("HEAD", &format!("{path}/raw")).from(AWAY))
                .await
                .status
                == status
            {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{path}/raw never answers {status}");
    }

    pub(crate) async fn collect(&self, path: &str, from: &str) -> Answer {
        self.send(ask("GET", &format!("{path}/raw")).from(from)).await
    }

    /// Everything in `incoming/` and `files/`.
    pub(crate) fn on_disk(&self) -> Vec<PathBuf> {
        ["incoming", "files"]
            .into_iter()
            .flat_map(|directory| fs::read_dir(self.data.path().join(directory)).unwrap())
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    /// What the catalog holds, looked at from the side.
    pub(crate) fn rows(&self, condition: &str) -> i64 {
        let db = rusqlite::Connection::open(self.data.path().join("catalog.sqlite")).unwrap();
        let sql = format!("SELECT count(*) FROM file WHERE {condition}");
        db.query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) async fn until_empty(&self) {
        for _ in 0..LOOKS {
            if self.rows("true") == 0 && self.on_disk().is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!(
            "something is left: {:?}, {} rows",
            self.on_disk(),
            self.rows("true")
        );
    }
}

fn start() -> Arc<Mutex<SystemTime>> {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    Arc::new(Mutex::new(start))
}

pub(crate) struct Uploaded {
    pub(crate) path: String,
    pub(crate) link: String,
    pub(crate) token: String,
}

pub(crate) async fn send(mut router: Router, ask: Ask) -> Answer {
    let response = router.call(http::Request::from(ask)).await.unwrap();
    let (mut parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        courier: parts.extensions.remove(),
        headers: parts.headers,
        body,
    }
}

/// A request, as the edge hands it on.
pub(crate) struct Ask {
    request: http::request::Builder,
    resolution: Resolution,
    body: Body,
}

pub(crate) fn ask(method: &str, path: &str) -> Ask {
    Ask {
        request: Request::builder()
            .method(method)
            .uri(format!("http://files.test{path}")),
        resolution: direct(HOME),
        body: Body::empty(),
    }
}

impl Ask {
    pub(crate) fn from(self, ip: &str) -> Self {
        self.resolved(direct(ip))
    }

    pub(crate) fn resolved(mut self, resolution: Resolution) -> Self {
        self.resolution = resolution;
        self
    }

    pub(crate) fn uri(mut self, uri: &str) -> Self {
        self.request = self.request.uri(uri);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn page(self) -> Self {
        self.header("accept", FIREFOX)
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("truehop-owner", token)
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }
}

impl From<Ask> for Request<Body> {
    fn from(ask: Ask) -> Self {
        ask.request.extension(ask.resolution).body(ask.body).unwrap()
    }
}

/// A response, its courier taken out.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) courier: Option<Courier>,
    pub(crate) body: Body,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) async fn text(self) -> String {
        String::from_utf8(self.body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    /// The recipient has every byte.
    pub(crate) async fn deliver(self) -> String {
        let courier = self.courier.expect("a collection has a courier");
        let bytes = self.body.collect().await.unwrap().to_bytes();
        courier.delivered();
        String::from_utf8(bytes.to_vec()).unwrap()
    }
}

/// A client that is the peer itself.
pub(crate) fn direct(ip: &str) -> Resolution {
    let headers: [(&str, &str); 0] = [];
    Policy::peer()
        .resolve(ip.parse::<Peer>().unwrap(), &headers[..])
        .unwrap()
}

/// A client behind a trusted proxy.
pub(crate) fn behind_proxy(ip: &str) -> Resolution {
    let policy = Policy::header("X-Real-IP").trusted(["10.0.0.1"]).build().unwrap();
    policy
        .resolve(
            "10.0.0.1:1".parse::<truehop_tower::truehop::Peer>().unwrap(),
            &[("X-Real-IP", ip)][..],
        )
        .unwrap()
}

/// A trusted proxy that did not say who the client is, and stands in for it.
pub(crate) fn stood_in_for() -> Resolution {
    let headers: [(&str, &str); 0] = [];
    let policy = Policy::header("X-Real-IP")
        .trusted(["10.0.0.1"])
        .on_missing(Otherwise::Peer)
        .build()
        .unwrap();
    policy
        .resolve(
            "10.0.0.1:1".parse::<truehop_tower::truehop::Peer>().unwrap(),
            &headers[..],
        )
        .unwrap()
}
