//! Plays the edge: resolves clients, calls the router, takes the courier out of the response.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tower_service::Service;
use truehop_delivery::Courier;
use truehop_drop::{Clock, DropConfig, FileDrop};
use truehop_tower::truehop::{Otherwise, Peer, Policy, Resolution};

pub(crate) const HOME: &str = "203.0.113.1";
/// How often a state is looked for that must come soon; each look waits for the catalog.
pub(crate) const LOOKS: usize = 5000;
/// The recipient of most tests.
pub(crate) const AWAY: &str = "198.51.100.7";
/// Somebody who is neither.
pub(crate) const STRANGER: &str = "192.0.2.9";
pub(crate) const FIREFOX: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

/// A drop in a directory of its own, with a clock that stands still until it is moved.
pub(crate) struct Site {
    pub(crate) drop: FileDrop,
    pub(crate) router: Router,
    pub(crate) config: DropConfig,
    pub(crate) now: Arc<Mutex<SystemTime>>,
    pub(crate) data: Data,
    metrics: Registry,
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

    /// In memory where that is to be had: for what is done many times.
    pub(crate) fn quick(change: impl FnOnce(&mut DropConfig)) -> Self {
        let mut config = DropConfig::default();
        change(&mut config);
        let data = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::open(config, start(), Data::Own(data.unwrap()))
    }

    pub(crate) fn at(data: PathBuf) -> Self {
        Self::open(DropConfig::default(), start(), Data::At(data))
    }

    fn open(config: DropConfig, now: Arc<Mutex<SystemTime>>, data: Data) -> Self {
        let told = Arc::clone(&now);
        let clock = Clock::new(move || *told.lock().unwrap());
        let drop = FileDrop::open_with_clock(&config, data.path(), clock).unwrap();
        let router = drop.router();
        let mut metrics = Registry::default();
        drop.register(&mut metrics);
        Self {
            drop,
            router,
            config,
            now,
            data,
            metrics,
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
            metrics: _,
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
        Uploaded::of(&answer)
    }

    /// Uploads files as a form does.
    pub(crate) async fn upload_all(&self, files: &[(&str, &str)]) -> Uploaded {
        let answer = self.send(form(files, &[])).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        Uploaded::of(&answer)
    }

    /// Waits until the page answers a stranger so. Each look waits for the catalog, so this does not spin.
    pub(crate) async fn until(&self, path: &str, status: StatusCode) {
        for _ in 0..LOOKS {
            if self.send(ask("GET", path).from(STRANGER)).await.status == status {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{path} never answers {status}");
    }

    /// Waits until a stranger who collects would be answered so (HEAD changes nothing).
    pub(crate) async fn until_raw(&self, path: &str, status: StatusCode) {
        self.until_raw_from(STRANGER, path, status).await;
    }

    /// The same, for somebody else.
    pub(crate) async fn until_raw_from(&self, from: &str, path: &str, status: StatusCode) {
        let raw = format!("{path}/raw");
        for _ in 0..LOOKS {
            if self.send(ask("HEAD", &raw).from(from)).await.status == status {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{raw} never answers {status}");
    }

    /// Waits until that many files are so. What a recipient's end leads to is written down after it.
    pub(crate) async fn until_rows(&self, condition: &str, count: i64) {
        for _ in 0..LOOKS {
            if self.rows(condition) == count {
                return;
            }
            // Each look waits for the catalog, so this does not spin.
            self.send(ask("GET", "/d/aaaaaaaaaaaaaaaaaaaaaaaaaa")).await;
            tokio::task::yield_now().await;
        }
        panic!(
            "{} and not {count} files are so: {condition}",
            self.rows(condition)
        );
    }

    /// Waits until so many requests of collections are under way: the ends of the others are written down.
    pub(crate) async fn until_under_way(&self, count: usize) {
        let wanted = format!("truehop_drop_collecting {count}\n");
        for _ in 0..LOOKS {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
            if text.contains(&wanted) {
                return;
            }
            // Each look waits for the catalog, so this does not spin.
            self.send(ask("GET", "/d/aaaaaaaaaaaaaaaaaaaaaaaaaa")).await;
            tokio::task::yield_now().await;
        }
        panic!("there are never {count} requests under way");
    }

    /// The end of a lease, once all downloads have ended.
    pub(crate) async fn lapse(&self) {
        self.until_under_way(0).await;
        self.advance(self.config.lease);
    }

    /// Presses a button, and follows where it leads, as a browser does.
    pub(crate) async fn press(&self, button: Ask) -> Answer {
        let resolution = button.resolution;
        let cookies = button.request.headers_ref().unwrap().get("cookie").cloned();
        let led = self.send(button).await;
        assert_eq!(led.status, StatusCode::SEE_OTHER);
        let mut next = ask("GET", led.header("location")).resolved(resolution);
        if let Some(cookies) = cookies {
            next = next.header("cookie", cookies.to_str().unwrap());
        }
        if let Some((cookie, _)) = led
            .headers
            .get("set-cookie")
            .and_then(|set| set.to_str().ok()?.split_once(';'))
        {
            next = next.header("cookie", cookie);
        }
        self.send(next).await
    }

    pub(crate) async fn collect(&self, path: &str, from: &str) -> Answer {
        self.send(ask("GET", &format!("{path}/raw")).from(from)).await
    }

    /// Everything in `incoming/` and below `files/`, but the mark.
    pub(crate) fn on_disk(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.data.path().join("incoming"), self.data.path().join("files")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false if entry.file_name() == ".truehop" => {}
                    false => files.push(entry.path()),
                }
            }
        }
        files
    }

    /// Where the bytes of a file are, or were.
    pub(crate) fn blob(&self, path: &str, number: u32) -> PathBuf {
        let id = path.strip_prefix("/d/").unwrap();
        let sql = "SELECT blob FROM files WHERE drop_id = ?1 AND number = ?2";
        let blob: String = self.db().query_row(sql, (id, number), |row| row.get(0)).unwrap();
        self.data
            .path()
            .join("files")
            .join(&blob[..1])
            .join(&blob[1..2])
            .join(blob)
    }

    pub(crate) fn db(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.data.path().join("catalog.sqlite")).unwrap()
    }

    /// How many files the catalog holds that are so, looked at from the side.
    pub(crate) fn rows(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM files WHERE {condition}");
        self.db().query_row(&sql, [], |row| row.get(0)).unwrap()
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

impl Uploaded {
    pub(crate) fn of(answer: &Answer) -> Self {
        let link = answer.header("location").to_owned();
        Self {
            path: link.strip_prefix("http://files.test").unwrap().to_owned(),
            token: answer.header("truehop-owner").to_owned(),
            link,
        }
    }
}

/// A form with these files, and these fields before them.
pub(crate) fn form(files: &[(&str, &str)], fields: &[(&str, &str)]) -> Ask {
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    for (name, content) in files {
        body += &format!(
            "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n"
        );
    }
    ask("POST", "/")
        .header("content-type", "multipart/form-data; boundary=B")
        .body(body + "--B--\r\n")
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

    pub(crate) fn range(self, range: &str) -> Self {
        self.header("range", &format!("bytes={range}"))
    }

    pub(crate) fn collection(self, name: &str) -> Self {
        self.header("truehop-collection", name)
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

    pub(crate) async fn bytes(self) -> Vec<u8> {
        self.body.collect().await.unwrap().to_bytes().to_vec()
    }

    /// Reads the body up to so many bytes, or more by what is left of a piece.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            bytes.extend(self.body.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        bytes
    }

    /// The recipient breaks off when it has acknowledged so many bytes of the body, and no more have left.
    pub(crate) fn cut_short(self, acknowledged: u64) {
        self.vanish(acknowledged, acknowledged);
    }

    /// The recipient is gone when it has acknowledged so many bytes of the body, and so many had left.
    pub(crate) fn vanish(self, acknowledged: u64, left: u64) {
        self.courier
            .expect("a collection has a courier")
            .cut_short(acknowledged, left);
    }

    /// The collection that the answer names.
    pub(crate) fn collection(&self) -> String {
        self.header("truehop-collection").to_owned()
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
