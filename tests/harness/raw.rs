//! A peer in raw bytes, for what no real program says.
//!
//! A connection that the daemon closes is no failure here: what was heard until then is what a test is about.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{Shutdown, shutdown};
use rustix::thread::set_thread_res_uid;

use crate::PATIENCE;
use crate::client::plain;

/// A peer that takes nothing for so long has stopped reading.
const STALLED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Connection {
    socket: BufReader<File>,
}

impl Connection {
    pub fn to(path: &Path) -> Self {
        let stream = UnixStream::connect(path);
        Self::over(stream.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", path.display())).into())
    }

    /// The same, as a user that the daemon has no reason to trust.
    pub fn to_as(path: &Path, uid: u32) -> Self {
        let connect = || {
            let uid = rustix::process::Uid::from_raw(uid);
            set_thread_res_uid(uid, uid, uid).expect("a thread of root can become anybody");
            Self::to(path)
        };
        thread::scope(|scope| scope.spawn(connect).join()).expect("the connection is made")
    }

    pub fn to_address(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE);
        Self::over(stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}")).into())
    }

    /// An auth client of that minor version, past both greetings.
    pub fn to_auth(path: &Path, minor: u32) -> Self {
        Self::to(path).greeted(minor)
    }

    #[must_use]
    pub fn greeted(mut self, minor: u32) -> Self {
        self.send(hello(minor));
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "closed before the end of the greeting");
            if line == "DONE" {
                return self;
            }
        }
    }

    fn over(socket: OwnedFd) -> Self {
        for direction in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&socket, direction, Some(PATIENCE)).expect("a timeout can be set");
        }
        Self { socket: BufReader::new(socket.into()) }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        match self.socket.get_mut().write_all(bytes.as_ref()) {
            Err(error) if !is_the_end(error.kind()) => panic!("the daemon does not read: {error}"),
            _ => {}
        }
    }

    /// Sends `bytes` over and over until the daemon reads no more, or has read `most`. Gives how many it took.
    pub fn flood(&mut self, bytes: &[u8], most: usize) -> usize {
        set_socket_timeout(self.socket.get_ref(), Timeout::Send, Some(STALLED)).expect("a timeout can be set");
        let mut sent = 0;
        while sent < most {
            let from = sent % bytes.len();
            match self.socket.get_mut().write(&bytes[from..]) {
                Ok(taken) => sent += taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock || is_the_end(error.kind()) => break,
                Err(error) => panic!("cannot send: {error}"),
            }
        }
        sent
    }

    /// Says that nothing more comes, and goes on listening.
    pub fn end_sending(&self) {
        // A connection that is closed already has ended both ways.
        let _ = shutdown(self.socket.get_ref(), Shutdown::Write);
    }

    /// The next line without its ending; empty when the daemon has closed.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        match self.socket.read_until(b'\n', &mut line) {
            Err(error) if !is_the_end(error.kind()) => panic!("nothing more was heard: {error}"),
            _ => String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned(),
        }
    }

    /// The line after the one that is `marker`; empty when the daemon has closed.
    pub fn line_after(&mut self, marker: &str) -> String {
        loop {
            let line = self.line();
            if line.is_empty() {
                return line;
            }
            if line == marker {
                return self.line();
            }
        }
    }

    /// What is heard until it ends so, and no further; less when the daemon closes before.
    pub fn heard_up_to(&mut self, end: &str) -> String {
        let mut heard = Vec::new();
        let mut byte = [0];
        while !heard.ends_with(end.as_bytes()) {
            match self.socket.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => heard.push(byte[0]),
                Err(error) if is_the_end(error.kind()) => break,
                Err(error) => panic!("nothing more was heard ({error}) after {}", heard.escape_ascii()),
            }
        }
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// Everything until the daemon closes.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.socket.read_to_end(&mut rest) {
            Err(error) if !is_the_end(error.kind()) => {
                panic!("not closed ({error}) after {}", rest.escape_ascii());
            }
            _ => String::from_utf8_lossy(&rest).into_owned(),
        }
    }
}

/// What an auth client says first.
pub fn hello(minor: u32) -> String {
    format!("VERSION\t1\t{minor}\nCPID\t{}\n", std::process::id())
}

/// A login by PLAIN; `parameters` begin with a TAB each.
pub fn auth(id: u32, parameters: &str, user: &str, password: &str) -> String {
    format!("AUTH\t{id}\tPLAIN\tservice=imap{parameters}\tresp={}\n", plain(user, password))
}

/// On a Unix socket, the other end has closed although we had more to say.
fn is_the_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}
