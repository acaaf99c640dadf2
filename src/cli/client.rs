//! Client: the API over the admin socket.
//!
//! Trusts: the socket only after the kernel has said who listens on it. That is asked of the very connection that is
//!         used, since passwords go through it.
//! Fails:  with a [`Failure`], which knows its exit code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::Failure;
use crate::account::DomainName;
use crate::store::Door;
use crate::web::{DOOR_HEADER, Problem};

/// How long an answer may take; setting a password waits for the hash pool.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Where the daemon is, and who may be behind that socket.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    pub(crate) socket: PathBuf,
    /// Uids beside root's and our own.
    pub(crate) trusted: Vec<u32>,
    /// What its configuration completes a name without `@` with.
    pub(crate) default_domain: Option<DomainName>,
}

/// A connection to the daemon, opened again when the daemon has closed it between two calls.
#[derive(Debug)]
pub(crate) struct Client {
    daemon: Daemon,
    door: Door,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects, and makes sure of the other end.
    pub(crate) async fn connect(daemon: Daemon, door: Door) -> Result<Self, Failure> {
        let sender = open(&daemon).await?;
        Ok(Self { daemon, door, sender })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        let answer = self.exchange(Method::GET, path, Bytes::new()).await?;
        read(&answer)
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Result<(), Failure> {
        self.exchange(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    /// Sends a body by any other method and reads the answer.
    pub(crate) async fn send<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::Unavailable(format!("cannot write the request: {error}")))?;
        let answer = self.exchange(method, path, body.into()).await?;
        read(&answer)
    }

    async fn exchange(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        if self.sender.ready().await.is_err() {
            self.sender = open(&self.daemon).await?;
        }
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(HOST, "gatepost")
            .header(CONTENT_TYPE, "application/json")
            .header(DOOR_HEADER, self.door.as_str())
            .body(Full::new(body))
            .map_err(|error| Failure::Unavailable(format!("cannot make the request: {error}")))?;
        let answering = async {
            let response = self.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
            Ok((status, body.map_err(|error| self.broken(&*error))?.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(PATIENCE, answering).await.map_err(|_| {
            Failure::Unavailable(format!(
                "no answer from gatepost within {} s; whether it was done is not known, look before you try again",
                PATIENCE.as_secs()
            ))
        })??;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
    }

    /// While a password is typed the daemon may close the connection; what was not sent then is sent on another.
    async fn send_request(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let mut failed = match self.sender.try_send_request(request).await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let Some(unsent) = failed.take_message() else { return Err(self.broken(failed.error())) };
        self.sender = open(&self.daemon).await?;
        self.sender.send_request(unsent).await.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &dyn std::error::Error) -> Failure {
        Failure::Unavailable(format!(
            "gatepost closed the connection on {} without an answer ({error}); its log says why",
            self.daemon.socket.display()
        ))
    }
}

/// One segment of a path, or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

async fn open(daemon: &Daemon) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let path = daemon.socket.display();
    let stream = UnixStream::connect(&daemon.socket).await.map_err(|error| cannot_connect(&daemon.socket, &error))?;
    let peer = stream
        .peer_cred()
        .map_err(|error| Failure::Unavailable(format!("cannot learn who listens on {path}: {error}")))?
        .uid();
    let own = rustix::process::geteuid().as_raw();
    if peer != 0 && peer != own && !daemon.trusted.contains(&peer) {
        return Err(Failure::Usage(format!(
            "the socket {path} belongs to uid {peer}, which is neither root nor you; nothing was sent. If gatepost runs \
             as that user, say so with `owner` of the admin listener in the configuration and name it with --config"
        )));
    }
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Failure::Unavailable(format!("cannot speak HTTP on {path}: {error}")))?;
    tokio::spawn(async move {
        // Whoever waits for an answer hears of a broken connection from the sender.
        drop(connection.await);
    });
    Ok(sender)
}

fn cannot_connect(path: &Path, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "run this as root or as a member of the socket's group",
        _ => "is `gatepost serve` running? --socket PATH says where else to look",
    };
    Failure::Unavailable(format!("cannot reach gatepost on {}: {error}; {advice}", path.display()))
}

fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let problem = serde_json::from_slice::<Problem>(body)
        .unwrap_or_else(|_| Problem::new(status, "unknown", format!("gatepost answered {status}")));
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Failure::Unavailable(problem.detail),
        _ => Failure::Refused(Box::new(problem)),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::Unavailable(format!("cannot read gatepost's answer ({error}); are daemon and command of one version?"))
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_it_holds() {
        assert_eq!(segment("o'neil#1/../x@example.org"), "o%27neil%231%2F%2E%2E%2Fx%40example%2Eorg");
    }

    /// Answers each call with its number, and closes the connection behind the answer.
    async fn serve_once_each(listener: tokio::net::UnixListener) {
        for number in 1.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await;
            assert!(read.is_ok_and(|length| length > 0));
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
            stream.write_all(answer.as_bytes()).await.expect("the client reads");
        }
    }

    #[tokio::test]
    async fn a_connection_closed_between_two_calls_is_opened_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let socket = directory.path().join("admin");
        let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
        let server = tokio::spawn(serve_once_each(listener));
        let mut client = Client::connect(Daemon { socket, trusted: Vec::new(), default_domain: None }, Door::Command)
            .await
            .expect("a connection");
        for number in 1..=3 {
            assert_eq!(client.get::<u32>("/").await.expect("an answer"), number);
            // Until the client has seen the end of the connection.
            while !client.sender.is_closed() {
                tokio::task::yield_now().await;
            }
        }
        server.abort();
    }

    #[test]
    fn what_may_work_later_is_not_a_refusal() {
        for (status, is_refused) in [(503, false), (429, false), (404, true), (409, true), (422, true), (401, true)] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(matches!(refusal(status, b"no json"), Failure::Refused(_)), is_refused, "{status}");
        }
    }
}
