//! Schemathesis, which reads an OpenAPI document and tries whether a server keeps to it.

use std::path::PathBuf;
use std::process::Command;

use crate::cache;

/// The program, from the environment of its own that `tests/run` makes.
pub fn command() -> Command {
    Command::new(binary())
}

fn binary() -> PathBuf {
    let binary = cache().join("schemathesis/bin/st");
    assert!(binary.exists(), "no Schemathesis at {}; tests/run installs it", binary.display());
    binary
}
