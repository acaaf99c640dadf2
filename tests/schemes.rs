//! Every scheme, against the program whose hashes we take over: what `doveadm pw` makes we verify, what we make it
//! verifies, and where a hash is odd both say the same.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use gatepost::account::StoredHash;
use gatepost::password::{self, Ceilings, Cost, VerifyError, Workspace};
use gatepost_protocol::Secret;

const USER: &str = "ann@example.org";

fn doveadm(arguments: &[&str]) -> Output {
    let doveadm = Command::new("doveadm").arg("pw").args(arguments).output();
    doveadm.expect("doveadm (package dovecot-core) is what these schemes are compared with; install it")
}

fn made_by_doveadm(scheme: &str, password: &str) -> String {
    let made = doveadm(&["-s", scheme, "-u", USER, "-p", password]);
    assert!(made.status.success(), "{scheme}: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim_end_matches('\n').to_owned()
}

/// `doveadm pw -t` fails for a wrong password as for a hash it cannot read.
fn fits_for_doveadm(hash: &str, password: &str) -> bool {
    doveadm(&["-t", hash, "-u", USER, "-p", password]).status.success()
}

fn verify(hash: &str, password: &str) -> Result<bool, VerifyError> {
    let mut workspace = Workspace::new(&Cost::new(64, 1, 1).unwrap());
    let hash = StoredHash::new(hash.to_owned());
    password::verify(&Secret::from(password), USER, &hash, &Ceilings::default(), &mut workspace)
}

fn passwords() -> [String; 6] {
    let long = "0123456789abcdef".repeat(16);
    ["secret", " two  words ", "pässwörd–密码🔑", "co:lon,com$ma{}", "-p", &long].map(str::to_owned)
}

#[test]
fn every_scheme_that_doveadm_lists_is_verified() {
    let list = String::from_utf8(doveadm(&["-l"]).stdout).unwrap();
    let schemes: Vec<_> = list.split_whitespace().collect();
    assert!(schemes.len() > 30, "{list}");
    // doveadm makes a PLAIN-TRUNC hash without the length that it needs; below there is one by hand.
    for scheme in schemes.into_iter().filter(|scheme| *scheme != "PLAIN-TRUNC") {
        for password in passwords() {
            let hash = made_by_doveadm(scheme, &password);
            assert_eq!(verify(&hash, &password), Ok(true), "{password:?} for {hash}");
            assert_eq!(verify(&hash, &format!("x{password}")), Ok(false), "x{password:?} for {hash}");
        }
    }
}

#[test]
fn both_encodings_of_every_scheme_are_read() {
    let list = String::from_utf8(doveadm(&["-l"]).stdout).unwrap();
    for scheme in list.split_whitespace().filter(|scheme| *scheme != "PLAIN-TRUNC") {
        for suffix in [".HEX", ".b64", ".Base64"] {
            let hash = made_by_doveadm(&format!("{scheme}{suffix}"), "pass word");
            assert_eq!(verify(&hash, "pass word"), Ok(true), "{hash}");
            assert_eq!(verify(&hash, "pass  word"), Ok(false), "{hash}");
        }
    }
}

#[test]
fn new_hashes_are_verified_by_doveadm() {
    let costs = [Cost::default(), Cost::new(65_536, 3, 1).unwrap(), Cost::new(8_192, 4, 2).unwrap()];
    for cost in costs {
        let mut workspace = Workspace::new(&cost);
        for password in passwords() {
            let hash = password::hash(&Secret::from(&*password), &cost, &[0x5a; 16], &mut workspace).unwrap();
            assert!(fits_for_doveadm(hash.as_str(), &password), "{password:?} for {}", hash.as_str());
            assert!(!fits_for_doveadm(hash.as_str(), &format!("x{password}")), "x{password:?} for {}", hash.as_str());
        }
    }
}

#[test]
fn odd_hashes_fit_where_they_fit_for_doveadm() {
    let hashes = [
        // the prefix, or none
        "{plain}secret",
        "{Clear}secret",
        "{PLAIN}{PLAIN}secret",
        "{PLAIN",
        "secret",
        "{SHA1}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ",
        "{SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4",
        "{SHA.HEX}E5E9FA1BA31ECD1AE84F75CAAA474F3A663F05F4",
        "{SHA.HEX}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "{SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05",
        "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69",
        "{PLAIN-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==",
        "{LDAP-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69",
        "{MD5}5ebe2294ecd0e0f08eab7690d2a6ee69",
        "{MD5}not one",
        "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        // truncated
        "{PLAIN-TRUNC}6-secret",
        "{PLAIN-TRUNC}3-sec",
        "{PLAIN-TRUNC}9-sec",
        "{PLAIN-TRUNC}0-",
        "{PLAIN-TRUNC}-secret",
        "{PLAIN-TRUNC}secret",
        // bcrypt under every name, and with letters that are none of it
        "{CRYPT}$2y$05$BShfqQAXxxqJckUkqUG6A.NdMSPEvCKdNcYCpR4NnzLi2jHVmxHfS",
        "{BLF-CRYPT}$1$abcdefgh$BLoS1wIq9MbkPv7HFxLHH0",
        "{BLF-CRYPT}$2y$05$BShfqQAXxxqJckUkqUG6A.",
        "{CRYPT}$2z$05$BShfqQAXxxqJckUkqUG6A.NdMSPEvCKdNcYCpR4NnzLi2jHVmxHfS",
        // locked, empty, or from elsewhere
        "{CRYPT}",
        "{CRYPT}*",
        "{CRYPT}!",
        "{CRYPT}x",
        "{DES-CRYPT}$6$rounds=1000$0123456789abcdef$2lqrmLuVrL.jkx8ZxLbDvy",
        "{SHA512-CRYPT}$6$rounds=10$saltsalt$short",
        "{PBKDF2}$1$salt$0$d6632abf678f2721657206ce22dc24846582c88f",
        "{PBKDF2}$2$salt$1$d6632abf678f2721657206ce22dc24846582c88f",
        "{ARGON2ID}$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "{SCRAM-SHA-1}1,c2FsdA==,5en6G6MezRroT3XKqkdPOmY/BfQ=,5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "{NOSUCH}secret",
    ];
    for hash in hashes {
        for password in ["secret", "sec", "secretary", "0123456789abcdef"] {
            let ours = matches!(verify(hash, password), Ok(true));
            assert_eq!(ours, fits_for_doveadm(hash, password), "{password:?} for {hash}");
        }
    }
}
