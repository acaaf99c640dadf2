//! The server that submission hands mail on to; Dovecot lets nobody in without one.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

pub(crate) struct Relay {
    address: SocketAddr,
}

impl Relay {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap_or_else(|error| panic!("no port: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || drop(greet(&stream)));
            }
        });
        Self { address }
    }

    pub(crate) fn settings(&self) -> String {
        format!("submission_relay_port = {}\n", self.address.port())
    }
}

/// Says yes to everything.
fn greet(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.write_all(b"220 relay.example.org ESMTP\r\n")?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        stream.write_all(b"250 relay.example.org\r\n")?;
        line.clear();
    }
    Ok(())
}
