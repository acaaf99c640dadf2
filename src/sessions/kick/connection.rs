//! One request to a Dovecot's doveadm, and its answer, on a connection of its own: Dovecot closes it after each.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gatepost_protocol::dovecot::doveadm;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::endpoint::{Endpoint, Host};

/// Largest answer that is read: some hundred thousand sessions.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;

/// A way to one endpoint.
pub(super) struct Connector {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    authorization: HeaderValue,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("cannot connect ({0})")]
    Connect(#[source] io::Error),
    #[error("the connection ended without an answer ({0})")]
    Cut(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {0:?}")]
    Slow(Duration),
}

impl Connector {
    /// Whom to believe over TLS is whoever `authorities` (PEM) vouch for, or else the host's own.
    pub(super) fn new(endpoint: Endpoint, key: &HeaderValue, authorities: Option<&Path>) -> io::Result<Self> {
        let tls = match endpoint {
            Endpoint::Https(_) => Some(tls(authorities)?),
            Endpoint::Http(_) | Endpoint::Unix(_) => None,
        };
        Ok(Self { endpoint, tls, authorization: key.clone() })
    }

    /// Status and body of the answer, all of it within `patience`.
    pub(super) async fn post(&self, body: String, patience: Duration) -> Result<(u16, Bytes), Broken> {
        let answering = async {
            match &self.endpoint {
                Endpoint::Unix(path) => {
                    let stream = UnixStream::connect(path).await.map_err(Broken::Connect)?;
                    self.exchange(stream, "dovecot", body).await
                }
                Endpoint::Http(host) => {
                    let stream = connect(host).await?;
                    self.exchange(stream, &host.to_string(), body).await
                }
                Endpoint::Https(host) => {
                    let stream = self.encrypt(connect(host).await?, host).await.map_err(Broken::Connect)?;
                    self.exchange(stream, &host.to_string(), body).await
                }
            }
        };
        tokio::time::timeout(patience, answering).await.map_err(|_| Broken::Slow(patience))?
    }

    async fn encrypt(&self, stream: TcpStream, host: &Host) -> io::Result<impl AsyncRead + AsyncWrite + Send + use<>> {
        let name = ServerName::try_from(host.name.clone()).map_err(io::Error::other)?;
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("TLS was not set up"))?;
        tls.connect(name, stream).await
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: &str,
        body: String,
    ) -> Result<(u16, Bytes), Broken> {
        let cut = |error: hyper::Error| Broken::Cut(error.into());
        let request = Request::post(doveadm::PATH)
            .header(HOST, host)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Broken::Cut(error.into()))?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(cut)?;
        let answering = async move {
            let response = sender.send_request(request).await.map_err(cut)?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.map_err(Broken::Cut)?;
            Ok((status, body.to_bytes()))
        };
        tokio::pin!(connection, answering);
        tokio::select! {
            answer = &mut answering => return answer,
            // What it has read is still to be had.
            _ = &mut connection => {}
        }
        answering.await
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connector").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

async fn connect(host: &Host) -> Result<TcpStream, Broken> {
    TcpStream::connect((host.name.as_str(), host.port)).await.map_err(Broken::Connect)
}

fn tls(authorities: Option<&Path>) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(file) => {
            for certificate in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
                roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
