//! The API on another host, over TLS: the key goes only to whom the configured authority vouches for.

use std::fs;
use std::path::Path;
use std::process::Command;

use gatepost_harness::client::Protocol;
use gatepost_harness::dovecot::{Answerer, DOVEADM_KEY, Dovecot, Setup, Version, make_run_directory, sockets_below};
use gatepost_harness::gatepost::Gatepost;
use gatepost_harness::mailhost::{ALICE, DOVECOT, add_accounts};
use gatepost_harness::session::Session;
use gatepost_harness::{free_addresses, short_directory};

use super::{NEW, set_password, wait_for_note, with_both};

#[test]
fn key_goes_only_to_a_dovecot_that_the_authority_vouches_for() {
    with_both(dovecot_is_reached_over_tls);
}

fn dovecot_is_reached_over_tls(version: Version) {
    let directory = short_directory();
    let below = directory.path();
    make_run_directory(below);
    for name in ["right", "wrong"] {
        make_certificate(below, name);
    }
    let [doveadm] = free_addresses();
    let table = format!(
        "\n[dovecot.{DOVECOT}]\nurl = \"https://localhost:{}\"\napi_key = \"{DOVEADM_KEY}\"\nca_file = \"{}\"\n",
        doveadm.port(),
        below.join("trusted.pem").display()
    );
    let trust = |name: &str| {
        let copied = fs::copy(below.join(format!("{name}.pem")), below.join("trusted.pem"));
        copied.unwrap_or_else(|error| panic!("cannot trust {name}: {error}"));
    };
    trust("wrong");
    let mut gatepost = Gatepost::start(below, sockets_below(below), &table);
    add_accounts(&gatepost, &[ALICE]);
    let setup = Setup::plain(version, Answerer::Gatepost, &[]);
    let dovecot = Dovecot::start(below, Setup { more: &listener(version, below, doveadm.port()), ..setup });

    let session = Session::open(Protocol::Imap, &dovecot, ALICE.user, ALICE.password);
    let change = set_password(&gatepost, ALICE.user, NEW);
    wait_for_note(&gatepost, change, DOVECOT, &["cannot connect", "certificate", "`[dovecot.mail1] url`"]);
    gatepost.stop();
    trust("right");
    gatepost.resume();
    assert!(session.last_words().starts_with("* BYE"));
}

fn listener(version: Version, below: &Path, port: u16) -> String {
    let [certificate, key] = ["right.pem", "right.key"].map(|file| below.join(file).display().to_string());
    let ssl = match version {
        Version::V2_3 => format!("ssl_cert = <{certificate}\nssl_key = <{key}\n"),
        Version::V2_4 => format!("ssl_server_cert_file = {certificate}\nssl_server_key_file = {key}\n"),
    };
    format!(
        "ssl = yes\n{ssl}doveadm_api_key = {DOVEADM_KEY}\n\
         service doveadm {{\n  inet_listener http {{\n    port = {port}\n    ssl = yes\n  }}\n}}\n"
    )
}

/// One that vouches for itself.
fn make_certificate(below: &Path, name: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]).current_dir(below);
    let output = openssl.output().unwrap_or_else(|error| panic!("cannot run openssl: {error}"));
    assert!(output.status.success(), "openssl said {output:?}");
}
