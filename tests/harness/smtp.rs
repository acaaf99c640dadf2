//! Sending mail: with swaks, as a person would try it, and line by line for what swaks does not do.

use std::net::SocketAddr;
use std::process::Command;

use crate::client::LineClient;

/// The server's answer to the login of `user` by `mechanism`.
pub fn log_in(smtp: SocketAddr, mechanism: &str, user: &str, password: &str) -> String {
    let login = ["--quit-after", "AUTH", "--auth", mechanism, "--auth-user", user, "--auth-password", password];
    swaks(smtp, &login)
}

/// Has `user` send a mail to `recipient`; the answer to the last thing that was said before QUIT.
pub fn send(smtp: SocketAddr, user: &str, password: &str, recipient: &str, text: &str) -> String {
    let login = ["--auth", "PLAIN", "--auth-user", user, "--auth-password", password];
    swaks(smtp, &[&login[..], &["--from", user, "--to", recipient, "--body", text]].concat())
}

/// Has a stranger send a mail to `recipient`, likewise.
pub fn send_as_stranger(smtp: SocketAddr, recipient: &str, text: &str) -> String {
    swaks(smtp, &["--from", "sender@example.net", "--to", recipient, "--body", text])
}

/// A connection that has said EHLO.
pub fn connect(smtp: SocketAddr) -> LineClient {
    let mut client = LineClient::connect(smtp);
    client.read_until("220 ");
    client.send("EHLO client.example.net");
    client.read_until("250 ");
    client
}

/// The last answer of a login in which each challenge is answered in turn.
pub fn exchange(client: &mut LineClient, command: &str, answers: &[String]) -> String {
    client.send(command);
    for answer in answers {
        client.read_until("334");
        client.send(answer);
    }
    client.read_line()
}

fn swaks(smtp: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new("swaks");
    command.args(["--server", &smtp.to_string(), "--helo", "client.example.net"]).args(arguments);
    let output = command.output().expect("cannot run swaks");
    let conversation = String::from_utf8_lossy(&output.stdout);
    let before_quit = conversation.split("\n -> QUIT").next().unwrap_or_default();
    let answer = before_quit.lines().rev().find(|line| line.starts_with("<-  ") || line.starts_with("<** "));
    answer.unwrap_or_else(|| panic!("swaks heard no answer: {output:?}"))[4..].to_owned()
}
