//! README.md's quick start, followed word for word, ends with a login and with nothing left running.
//!
//! Its `sh` blocks run in their order in one bash that stops at the first command that fails, in a directory that looks
//! like a clone after the build. Two lines are not run but held to what they promise: of `apt-get install`, that
//! every package it names is installed, and of `cargo build --release`, that `target/release/gatepost` is there; it is
//! the daemon under test. The ports are the quick start's own, so the bash has a network namespace to itself, and a pid
//! namespace that ends with it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use gatepost_harness::{own_executable, short_directory};

const README: &str = include_str!("../README.md");
const SECTION: &str = "## Ten minutes to an IMAP login\n";
const SECONDS: &str = "100";

#[test]
fn quick_start_ends_with_the_login_it_shows_and_a_wrong_password_is_refused() {
    let blocks = fenced(section(), "sh");
    let (ending, steps) = blocks.split_last().expect("the quick start has commands");
    let wrong_password =
        last_line(steps.last().expect("the quick start has steps")).replace("Gate-post-8", "Gate-post-9");
    let script = [
        "ip link set lo up".to_owned(),
        steps.iter().map(|block| as_tested(block)).collect(),
        "printf '\\nwrong password: '".to_owned(),
        format!("if {wrong_password}; then exit 1; else echo \"curl's exit code $?\"; fi"),
        "sed 's/^/dovecot.log: /' gatepost-data/dovecot.log".to_owned(),
        as_tested(ending),
        "wait".to_owned(),
        "! doveadm -c \"$PWD/gatepost-data/dovecot.conf\" who 2>/dev/null".to_owned(),
    ];

    let output = run(&script.join("\n"));

    let (said, logged) = (text(&output.stdout), text(&output.stderr));
    let everything = format!("{}\n--- stdout\n{said}\n--- stderr\n{logged}", output.status);
    assert!(output.status.success(), "{everything}");
    let shown = fenced(section(), "text");
    assert_eq!(shown, ["* LIST (\\HasNoChildren) \".\" INBOX\n"]);
    // 67 is curl's "the user name, password, or similar was not accepted".
    assert!(
        said.replace('\r', "").contains(&format!("{}\nwrong password: curl's exit code 67\n", shown[0])),
        "{everything}"
    );
    assert!(logged.contains("curl: (67) Login denied"), "{everything}");
    assert!(said.contains("Info: Login: user=<ann@example.org>"), "{everything}");
    assert!(logged.contains("login accepted user=ann@example.org origin=127.0.0.1 service=\"imap\""), "{everything}");
}

fn section() -> &'static str {
    let (_, from) = README.split_once(SECTION).expect("README has a quick start");
    from.split("\n## ").next().expect("a split has a first part")
}

/// What stands in the code fences of this language.
fn fenced(text: &'static str, language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    text.split(&opening).skip(1).map(|block| block.split("```").next().expect("a split has a first part")).collect()
}

fn last_line(block: &str) -> &str {
    block.lines().last().expect("a block has lines")
}

/// The block with the two lines that a test cannot run replaced by a look at what they give.
fn as_tested(block: &str) -> String {
    let tested = block.lines().map(|line| {
        if let Some(packages) = line.strip_prefix("apt-get install -y ") {
            format!("dpkg-query --show {packages} >/dev/null\n")
        } else if line == "cargo build --release" {
            "test -x target/release/gatepost\n".to_owned()
        } else {
            format!("{line}\n")
        }
    });
    tested.collect()
}

fn run(script: &str) -> Output {
    let clone = short_directory();
    let release = clone.path().join("target/release");
    fs::create_dir_all(&release).expect("directories");
    symlink(own_executable("gatepost", clone.path()), release.join("gatepost")).expect("a link");
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"), clone.path().join("config")).expect("a link");
    // unshare(1) does not heed TERM; when it is killed, so is all that runs below it.
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", SECONDS, "unshare", "--net", "--pid", "--fork", "--kill-child"]);
    command.args(["bash", "-e", "-c", script]).current_dir(clone.path());
    command.output().expect("timeout, unshare and bash are there")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
