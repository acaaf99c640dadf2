//! Between gatepost and Dovecot's HTTP API: what passes it does so untouched, slowly, with another key, or not at all.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::client::encoded;

/// What happens to the connections that are made from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// Taken, and held until the passage is another.
    Held,
    /// Closed at once.
    Closed,
    /// With a key in the place of the right one.
    WrongKey,
}

#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: PathBuf,
    key: String,
    /// `None` once the proxy is over.
    passage: Mutex<Option<Passage>>,
    changed: Condvar,
}

impl Proxy {
    pub(crate) fn start(target: &Path, key: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let passage = Mutex::new(Some(Passage::Open));
        let shared =
            Arc::new(Shared { target: target.to_owned(), key: encoded(key), passage, changed: Condvar::new() });
        let here = Arc::clone(&shared);
        thread::spawn(move || here.accept(&listener));
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, passage: Passage) {
        self.shared.set(Some(passage));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.set(None);
        // So that the listener notices.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn set(&self, passage: Option<Passage>) {
        *self.passage.lock().expect("no passage is set halfway") = passage;
        self.changed.notify_all();
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            if self.passage.lock().expect("no passage is set halfway").is_none() {
                return;
            }
            let here = Arc::clone(&self);
            // Whatever breaks a connection is for its two ends to find.
            thread::spawn(move || drop(here.pass(&client)));
        }
    }

    fn pass(&self, client: &TcpStream) -> io::Result<()> {
        let held = |passage: &mut Option<Passage>| *passage == Some(Passage::Held);
        let passage = self.passage.lock().expect("no passage is set halfway");
        let passage = *self.changed.wait_while(passage, held).expect("no passage is set halfway");
        let key = match passage {
            Some(Passage::Open | Passage::Held) => self.key.clone(),
            Some(Passage::WrongKey) => encoded(&"x".repeat(self.key.len() / 4 * 3)),
            Some(Passage::Closed) | None => return Ok(()),
        };
        let server = UnixStream::connect(&self.target)?;
        thread::scope(|scope| {
            scope.spawn(|| {
                drop(copy(&server, client, <[u8]>::to_vec));
                client.shutdown(Shutdown::Write)
            });
            let copied = copy(client, &server, |bytes| replaced(bytes, self.key.as_bytes(), key.as_bytes()));
            server.shutdown(Shutdown::Write)?;
            copied
        })
    }
}

/// Until `from` ends; a request comes in one piece, so what is replaced does, too.
fn copy(mut from: impl Read, mut to: impl Write, change: impl Fn(&[u8]) -> Vec<u8>) -> io::Result<()> {
    let mut bytes = [0; 16 * 1024];
    loop {
        let length = from.read(&mut bytes)?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&change(&bytes[..length]))?;
    }
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.windows(old.len()).position(|window| window == old) {
        bytes.splice(at..at + old.len(), new.iter().copied());
    }
    bytes
}
