//! Does the API keep to the OpenAPI document that it serves? Schemathesis reads the one and tries the other.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use gatepost_harness::process::{LogMark, Process};
use gatepost_harness::{free_addresses, own_executable, schemathesis, short_directory, times};
use tempfile::TempDir;

/// A daemon of its own, since the calls change and remove what is there; its refusals leave soon.
struct Daemon {
    directory: TempDir,
    http: SocketAddr,
    _process: Process,
}

impl Daemon {
    fn start() -> Self {
        let directory = short_directory();
        let [http] = free_addresses();
        let settings = format!(
            "[hash]\nmemory_kib = 1024\niterations = 1\n[throttle]\nfailure_delay = \"1ms\"\n\
             [listen.http]\naddress = \"{http}\"\n[listen.status]\nenabled = false\n[listen.poppassd]\nenabled = false\n"
        );
        fs::write(directory.path().join("gatepost.toml"), settings).expect("a configuration");
        let process = Process::start("gatepost", gatepost(directory.path(), &["serve"]));
        process.wait_for_log("ready version=", LogMark::default());
        Self { directory, http, _process: process }
    }

    fn must(&self, arguments: &[&str]) -> String {
        let output = gatepost(self.directory.path(), arguments).output().expect("the command starts");
        assert!(output.status.success(), "gatepost {arguments:?} said {output:?}");
        String::from_utf8(output.stdout).expect("the command prints text")
    }

    /// What Schemathesis finds wrong in those phases of its.
    fn try_calls(&self, phases: &str, configuration: &str) {
        let printed = self.must(&["token", "add", "schemathesis", "--role", "admin"]);
        let token = printed.lines().next().expect("a token");
        let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi").join(configuration);
        let mut command = schemathesis::command();
        command.arg("--config-file").arg(configuration).current_dir(self.directory.path());
        command.args(["run", &format!("http://{}/api/v1/openapi.json", self.http), "--phases", phases]);
        command.args(["--header", &format!("Authorization: Bearer {token}"), "--continue-on-failure"]);
        command.args(["--max-examples", &times(20, 500).to_string()]);
        if times(0, 1) == 0 {
            command.args(["--seed", "1"]);
        }
        let output = command.output().expect("schemathesis starts");
        let [said, complained] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(output.status.success(), "{said}\n{complained}");
        // A run that had lost its token would have tried nothing.
        assert!(self.must(&["token", "list"]).contains("schemathesis"), "{said}");
    }
}

fn gatepost(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(own_executable("gatepost", directory));
    command.current_dir(directory).args(["--config", "gatepost.toml"]).args(arguments);
    command
}

#[test]
fn no_answer_is_other_than_described() {
    let daemon = Daemon::start();
    for domain in ["example.org", "spare.example"] {
        daemon.must(&["domain", "add", domain]);
    }
    for user in ["ann@example.org", "spare@example.org"] {
        daemon.must(&["account", "add", user, "--generate"]);
    }
    daemon.must(&["token", "add", "spare", "--role", "login"]);
    daemon.try_calls("examples,coverage,fuzzing", "each_call.toml");
    daemon.must(&["account", "show", "ann@example.org"]);
}

#[test]
fn what_one_call_makes_is_there_for_the_next_until_it_is_removed() {
    let daemon = Daemon::start();
    daemon.must(&["domain", "add", "example.org"]);
    daemon.try_calls("stateful", "sequences.toml");
}
