//! The floor: a server that reads every line and says yes, so that what is left is the sockets and the one who asks.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::Outcome;

const GREETING: &str = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\n\
                        COOKIE\t00000000000000000000000000000000\nDONE\n";

/// Serves `auth` and `dict` in `directory` until it is killed.
pub(crate) async fn serve(directory: &Path) -> Outcome<()> {
    let (auth, dict) = (UnixListener::bind(directory.join("auth"))?, UnixListener::bind(directory.join("dict"))?);
    loop {
        tokio::select! {
            accepted = auth.accept() => drop(tokio::spawn(answer(accepted?.0, GREETING))),
            accepted = dict.accept() => drop(tokio::spawn(answer(accepted?.0, ""))),
        }
    }
}

/// Until the peer has gone; why, it knows itself.
async fn answer(mut stream: UnixStream, greeting: &str) -> Outcome<()> {
    stream.write_all(greeting.as_bytes()).await?;
    let mut input = Vec::with_capacity(64 * 1024);
    while stream.read_buf(&mut input).await? > 0 {
        let Some(last) = input.iter().rposition(|byte| *byte == b'\n') else { continue };
        let mut output = String::new();
        for line in str::from_utf8(input.get(..last).unwrap_or_default())?.split('\n') {
            say_yes(line, &mut output)?;
        }
        input.drain(..=last);
        stream.write_all(output.as_bytes()).await?;
    }
    Ok(())
}

fn say_yes(line: &str, output: &mut String) -> Outcome<()> {
    if line.starts_with('L') {
        output.push_str("O{\"password\":\"\"}\n");
    } else if let Some(request) = line.strip_prefix("AUTH\t") {
        let (Some((id, _)), Some((_, response))) = (request.split_once('\t'), request.rsplit_once("resp=")) else {
            return Err("an AUTH without id or response".into());
        };
        let response = String::from_utf8(STANDARD.decode(response)?)?;
        let user = response.split('\0').nth(1).unwrap_or_default();
        writeln!(output, "OK\t{id}\tuser={user}")?;
    }
    Ok(())
}
