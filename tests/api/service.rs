//! The API on a Unix socket in this process, over a new SQLite store, and a client of it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost::authenticate::cache::{self, Cache};
use gatepost::authenticate::{Authenticator, Needs};
use gatepost::change_password::ChangePassword;
use gatepost::config::{Config, Live};
use gatepost::hash_pool::{self, HashPool};
use gatepost::listen::Peer;
use gatepost::outbox::{Errands, Outbox};
use gatepost::password::fingerprint::{FingerprintKey, KEY_LENGTH};
use gatepost::password::policy::Policy;
use gatepost::password::{Ceilings, Cost};
use gatepost::revocation::{Revocation, Sharing};
use gatepost::sessions::history::history;
use gatepost::sessions::live;
use gatepost::store::Store;
use gatepost::store::sqlite::SqliteStore;
use gatepost::throttle::{Settings, Throttle};
use gatepost::web::{Surface, Web};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) const ADMIN: Surface = Surface::Admin(Peer::Process { uid: 0, gid: 0, pid: None, trusted: true });

/// How long a refusal waits here.
pub(crate) const FAILURE_DELAY: Duration = Duration::from_millis(100);
/// Wrong passwords before the throttle steps in here.
pub(crate) const FAILURES: u32 = 3;

/// One gatepost without its daemon.
pub(crate) struct Service {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) shutdown: CancellationToken,
    web: Web,
    directory: TempDir,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("gatepost.sqlite");
        let store = Arc::new(SqliteStore::open(&path, &Default::default()).await.expect("a new store"));
        let settings = hash_pool::Settings {
            threads: NonZeroUsize::MIN,
            queue: 16,
            cost: Cost::new(64, 1, 1).expect("a cost"),
            ceilings: Ceilings { memory_kib: 64 * 1024, time: Duration::from_secs(1) },
        };
        let ceilings = settings.ceilings;
        let hash_pool = Arc::new(HashPool::start(settings).expect("a hash pool"));
        let shared: Arc<dyn Store> = store.clone();
        let default_domain = Some("example.org".parse().expect("a domain"));
        let throttle = Settings { failure_delay: FAILURE_DELAY, failures: FAILURES, ..Settings::default() };
        let phrase =
            Policy { min_length: 15, upper: false, lower: false, digit: false, special: false, min_strength: 3 };
        let mut live = Live { default_domain, throttle, ..Config::embedded().live };
        live.policies.insert("phrase".to_owned(), phrase);
        let (_, live) = watch::channel(Arc::new(live));
        let throttle = Arc::new(Throttle::new(live.borrow().throttle.clone(), Instant::now()));
        let (history, entries) = history(shared.clone());
        let shutdown = CancellationToken::new();
        tokio::spawn(entries.run(shutdown.clone()));
        let cache = Cache::new(&Default::default(), [7; cache::KEY_LENGTH]);
        let revocation = Arc::new(Revocation::new(shared.clone(), Sharing::Sole));
        let fingerprint_key = Arc::new(FingerprintKey::new([7; KEY_LENGTH]));
        let authenticator = Arc::new(Authenticator::new(Needs {
            store: shared.clone(),
            revocation: revocation.clone(),
            cache,
            pool: hash_pool.clone(),
            throttle,
            history,
            live: live.clone(),
            fingerprint_key: fingerprint_key.clone(),
        }));
        let change_password = ChangePassword::new(
            shared.clone(),
            revocation.clone(),
            authenticator.clone(),
            hash_pool,
            live.clone(),
            ceilings,
            fingerprint_key,
        );
        let outbox = Outbox::new(Errands {
            store: shared.clone(),
            revocation: revocation.clone(),
            counter: None,
            kickers: Vec::new(),
            claims: Arc::new(live::Live::new(Instant::now())),
        });
        tokio::spawn(outbox.run(shutdown.clone()));
        let web = Web::new(shared, revocation, authenticator, change_password, live);
        Self { store, shutdown, web, directory }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("gatepost.sqlite")
    }

    /// A socket on which every connection is taken to come through `surface`.
    pub(crate) fn listen(&self, surface: Surface) -> PathBuf {
        let (web, shutdown) = (self.web.clone(), self.shutdown.clone());
        self.accept(move |stream| {
            let (web, shutdown) = (web.clone(), shutdown.clone());
            tokio::spawn(async move { web.serve(stream, surface, shutdown.cancelled()).await });
        })
    }

    /// A socket that is the status listener.
    pub(crate) fn listen_status(&self) -> PathBuf {
        let (web, shutdown) = (self.web.clone(), self.shutdown.clone());
        self.accept(move |stream| {
            let (web, shutdown) = (web.clone(), shutdown.clone());
            tokio::spawn(async move { web.serve_status(stream, shutdown.cancelled()).await });
        })
    }

    fn accept(&self, serve: impl Fn(tokio::net::UnixStream) + Send + 'static) -> PathBuf {
        let socket = tempfile::Builder::new().prefix("socket").tempdir_in(self.directory.path()).expect("a directory");
        let path = socket.keep().join("http");
        let listener = UnixListener::bind(&path).expect("a socket");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream);
            }
        });
        path
    }
}

/// A client of one socket.
pub(crate) struct Client(reqwest::Client);

/// A status and the JSON that came with it.
pub(crate) type Answer = (u16, Value);

impl Client {
    pub(crate) fn new(socket: &Path) -> Self {
        Self(reqwest::Client::builder().unix_socket(socket).build().expect("a client"))
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.0.request(method, format!("http://gatepost{path}"))
    }

    /// Sends JSON, or nothing where `body` is null.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = self.request(method, &format!("/api/v1{path}"));
        let request = if body.is_null() { request } else { request.json(&body) };
        answer(request.send().await.expect("an answer")).await
    }
}

pub(crate) async fn answer(response: Response) -> Answer {
    let status = response.status();
    let content_type = response.headers().get("content-type").cloned();
    let bytes = response.bytes().await.expect("a body");
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(content_type.as_ref().map(|value| value.as_bytes()), Some(&b"application/problem+json"[..]));
    }
    let value = if status == StatusCode::NO_CONTENT {
        assert!(bytes.is_empty());
        Value::Null
    } else {
        serde_json::from_slice(&bytes).expect("JSON")
    };
    (status.as_u16(), value)
}
