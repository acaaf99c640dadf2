//! Serve: one stream to its end. Bytes go to a protocol session, its events to a use case, the answer back.
//!
//! A connection is one task; each login on it is a task of its own, so that one slow verdict holds up nobody. What is
//! written is bounded by what is asked: a peer that does not read its answers is not read from, and given up.
//!
//! Trusts: what a peer says of its client only where the listener trusts the peer's uid.

pub mod dovecot_client;
pub mod dovecot_dict;
pub mod dovecot_master;
pub mod poppassd;
pub mod postfix;
pub mod waiting;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::authenticate::Authenticator;
use crate::change_password::ChangePassword;
use crate::config::Live;
use crate::revocation::Revocation;
use crate::sessions;
use crate::store::Store;
use waiting::Waiting;

/// How long a peer may leave an answer unread before it is given up.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How long a look-up may take; a mail process that hears nothing waits 155 s, and its user with it.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(10);
/// Answers of one read that may add up before they are written: one line may ask for what is long.
const UNWRITTEN: usize = 64 * 1024;
/// What one read takes at most.
const READ_SIZE: usize = 16 * 1024;

/// What every door needs of the house.
#[derive(Debug)]
pub struct Gate {
    pub authenticator: Arc<Authenticator>,
    pub change_password: ChangePassword,
    pub store: Arc<dyn Store>,
    pub revocation: Arc<Revocation>,
    pub waiting: Arc<Waiting>,
    /// Told of every login that a mail process claims.
    pub claims: Arc<sessions::live::Live>,
    pub live: tokio::sync::watch::Receiver<Arc<Live>>,
    /// SPID: the same on every socket, or a mail process thinks that the server was restarted.
    pub server_pid: u32,
    pub connections: AtomicU32,
}

impl Gate {
    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.borrow())
    }

    /// CUID: any counter will do.
    fn next_connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }
}

/// A socket of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What the peer says next; nothing once it has ended, or is to be ended.
async fn read<'buffer>(
    stream: &mut impl Stream,
    buffer: &'buffer mut [u8],
    shutdown: &CancellationToken,
) -> io::Result<Option<&'buffer [u8]>> {
    let read = tokio::select! {
        read = stream.read(buffer) => read?,
        () = shutdown.cancelled() => 0,
    };
    Ok(buffer.get(..read).filter(|bytes| !bytes.is_empty()))
}

/// Writes all that waits.
async fn flush(stream: &mut impl Stream, output: &mut BytesMut, patience: Duration) -> io::Result<()> {
    while output.has_remaining() {
        let written = tokio::time::timeout(patience, stream.write(output))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answers"))??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        output.advance(written);
    }
    Ok(())
}
