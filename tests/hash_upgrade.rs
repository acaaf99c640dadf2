//! A mailbox that came with a hash of any scheme that `doveadm pw` makes: its owner logs in, a wrong password does
//! not, and from then on the store holds a hash of ours that `doveadm pw` accepts.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use gatepost_harness::alone::Alone;
use gatepost_harness::{raw, wait_until};

const PASSWORD: &str = "Old-secret-1";

/// doveadm makes it dearer than the daemon under test does.
const STRONGER: &str = "ARGON2ID";
/// What verifies only the first eight characters would hold its owner to the rest, if it were replaced.
const IGNORES_THE_REST: &str = "DES-CRYPT";

fn doveadm_pw(arguments: &[&str]) -> Output {
    let run = Command::new("doveadm").arg("pw").args(arguments).output();
    run.expect("doveadm (package dovecot-core) is what the hashes come from; install it")
}

/// Schemes that can be asked for as they are listed: PLAIN-TRUNC is made without the length that it needs.
fn schemes() -> Vec<String> {
    let list = String::from_utf8(doveadm_pw(&["-l"]).stdout).expect("names");
    let schemes: Vec<_> =
        list.split_whitespace().filter(|scheme| *scheme != "PLAIN-TRUNC").map(str::to_owned).collect();
    assert!(schemes.len() >= 30, "{schemes:?}");
    schemes
}

fn user(scheme: &str) -> String {
    format!("{}@example.org", scheme.to_lowercase())
}

fn stored_hash(alone: &Alone, user: &str) -> String {
    let mut dict = alone.connect("dict");
    dict.send(format!("H3\t2\t0\t\tauth\nLshared/passdb/{user}\t{user}\n"));
    loop {
        let line = dict.line();
        if let Some((_, entry)) = line.split_once("\"password\":\"") {
            return entry.split('"').next().expect("a value ends").to_owned();
        }
        assert!(line.starts_with('*'), "{line}");
    }
}

#[test]
fn a_hash_of_any_scheme_lets_its_owner_in_and_is_replaced() {
    let alone = Alone::start("");
    let schemes = schemes();
    for scheme in &schemes {
        let user = user(scheme);
        let made = doveadm_pw(&["-s", scheme, "-u", &user, "-p", PASSWORD]);
        let hash = String::from_utf8(made.stdout).expect("a hash");
        alone.gatepost.must(&["account", "add", &user, "--hash-stdin"], &hash);
    }

    // All at once, so that their delays are one.
    let mut client = alone.auth_client("auth");
    for (id, scheme) in (1..).zip(&schemes) {
        client.send(raw::auth(id, "", &user(scheme), "New-secret-1"));
    }
    for _ in &schemes {
        let heard = client.line();
        assert!(heard.starts_with("FAIL\t") && !heard.contains("code="), "{heard}");
    }

    for scheme in &schemes {
        let user = user(scheme);
        let before = stored_hash(&alone, &user);
        assert_eq!(alone.log_in(&user, PASSWORD), format!("OK\t1\tuser={user}"), "{scheme}");
        if scheme == IGNORES_THE_REST {
            assert_eq!(alone.log_in(&user, "Old-secret-2"), format!("OK\t1\tuser={user}"), "{scheme}");
            assert_eq!(stored_hash(&alone, &user), before, "{scheme}");
            continue;
        }
        if scheme == STRONGER {
            continue;
        }
        wait_until(&format!("the hash of {scheme} is replaced"), || stored_hash(&alone, &user) != before);
        let after = stored_hash(&alone, &user);
        assert!(after.starts_with("{ARGON2ID}$argon2id$"), "{scheme} became {after}");
        assert!(doveadm_pw(&["-t", &after, "-u", &user, "-p", PASSWORD]).status.success(), "{scheme}: {after}");
        assert!(!doveadm_pw(&["-t", &after, "-u", &user, "-p", "Old-secret-2"]).status.success(), "{scheme}: {after}");
        assert_eq!(alone.log_in(&user, PASSWORD), format!("OK\t1\tuser={user}"), "{scheme}, replaced");
    }
    let kept = stored_hash(&alone, &user(STRONGER));
    assert!(kept.starts_with("{ARGON2ID}$argon2id$v=19$m=65536,t=3,"), "{kept}");
}
