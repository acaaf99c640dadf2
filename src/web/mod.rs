//! Web: HTTP on the admin socket, the public listener and the status listener, one connection at a time.
//!
//! The daemon accepts and says which [`Surface`] a connection came through; which calls that opens is `guard`'s to say.
//!
//! Trusts: nobody. Heads, bodies and the time for each are bounded, and a connection ends after [`AGE_LIMIT`].
//! Fails:  with a problem document; a connection that breaks HTTP is closed.
//! Limits: HTTP/1.1 only, no TLS; a reverse proxy gives both.

mod api;
mod guard;
mod input;
mod problem;
mod status;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::account::{NameError, Username};
use crate::administer::Administer;
use crate::authenticate::Authenticator;
use crate::change_password::ChangePassword;
use crate::config::Live;
use crate::revocation::Revocation;
use crate::store::Store;

pub(crate) use api::{
    AccountList, AccountMade, AccountSet, AccountView, Audit, ClientList, ClientView, DomainList, DomainView, Ended,
    LoginAccepted, LoginList, NewToken, PasswordSet, Receipt, RowView, StatusView, TokenList, TokenView,
};
use status::Readiness;

pub use guard::{DOOR_HEADER, Surface};
pub use problem::{Problem, UnmetReason};

/// How long a request's head may take, and how long a connection may idle between requests.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;
/// After this a connection takes no further request: one permit is not held for ever.
const AGE_LIMIT: Duration = Duration::from_mins(10);
/// How long a request that is being answered may go on after that, or after the daemon began to stop.
const DRAIN_PATIENCE: Duration = Duration::from_secs(4);

/// What the calls work with.
#[derive(Debug)]
struct WebState {
    authenticator: Arc<Authenticator>,
    administer: Administer,
    change_password: ChangePassword,
    readiness: Arc<Readiness>,
    live: watch::Receiver<Arc<Live>>,
}

/// The HTTP side of gatepost. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Web {
    api: Router,
    status: Router,
}

impl WebState {
    /// A name as a client wrote it.
    fn username(&self, text: &str) -> Result<Username, NameError> {
        Username::parse(text, self.live.borrow().default_domain.as_ref())
    }
}

impl Web {
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        revocation: Arc<Revocation>,
        authenticator: Arc<Authenticator>,
        change_password: ChangePassword,
        live: watch::Receiver<Arc<Live>>,
    ) -> Self {
        let readiness = Arc::new(Readiness::new(Arc::clone(&store)));
        let administer = Administer::new(store, revocation, change_password.clone());
        let api = api::router(Arc::new(WebState {
            authenticator,
            administer,
            change_password,
            readiness: Arc::clone(&readiness),
            live,
        }));
        Self { api, status: status::router(readiness) }
    }

    /// Serves one connection of the admin socket or the public listener to its end.
    pub async fn serve<S>(&self, stream: S, surface: Surface, shutdown: impl Future<Output = ()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = TowerToHyperService::new(self.api.clone());
        // Said by each request: a layer around the router would copy all routes for each connection.
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(surface);
            router.call(request)
        });
        serve_requests(service, stream, shutdown).await;
    }

    /// Serves one connection of the status listener to its end.
    pub async fn serve_status<S>(&self, stream: S, shutdown: impl Future<Output = ()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        serve_requests(TowerToHyperService::new(self.status.clone()), stream, shutdown).await;
    }
}

async fn serve_requests<S>(
    service: impl Service<Request<Incoming>, Response = Response, Error = Infallible>,
    stream: S,
    shutdown: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    // Who has asked and says no more still hears the answer; without this hyper hangs up, depending on who is faster.
    builder.half_close(true);
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_headers(HEADERS).max_buf_size(HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = async { tokio::select! { () = shutdown => {}, () = tokio::time::sleep(AGE_LIMIT) => {} } } => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(DRAIN_PATIENCE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "an HTTP connection was closed early");
    }
}
