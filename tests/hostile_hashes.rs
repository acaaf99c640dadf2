//! Stored hashes by someone who means harm: whoever may import accounts could stop a server that computes what they ask.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use gatepost::account::StoredHash;
use gatepost::password::{self, Ceilings, Cost, VerifyError, Workspace};
use gatepost_protocol::Secret;
use proptest::prelude::*;

/// Low enough for a property to run often, and high enough for each family to be computed sometimes.
const CEILINGS: Ceilings = Ceilings { memory_kib: 4096, time: Duration::from_millis(20) };

const HONEST: [&str; 16] = [
    "{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "{SHA512-CRYPT}$6$rounds=1000$abcdefgh$nhYjN017qxiYztzyUpZtPnUQcnLy62KsunSLHNeLahp2EHPlAKmFFlrjEwSXGo2kgY5hR2.peKEg2VGUqIJJu1",
    "{CRYPT}$y$j6T$abcdefghijklmnop$2owJOYNn.8lwSthViegrBvhmq/mvtOD76Eqab6sRAR/",
    "{CRYPT}$7$6U..../....abcdefgh$7KpoV2xdjxMogKvvxTLFRuZOwA.Sg9iyqflgZfog686",
    "{CRYPT}$sha1$1000$abcdefgh$ji8ESnkwjcTjo4hThodnLYyi.3yG",
    "{CRYPT}$md5,rounds=1000$abcdefgh$$oHAhBRD1/YRiW7/YQB1d60",
    "{CRYPT}_J9..abcd/H6HLCcf7nw",
    "{DES-CRYPT}abNANd1rDfiNc",
    "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1",
    "{PBKDF2}$1$salt$1$0c60c80f961f0e71f3a9b524af6012062fe037a6",
    "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
    "{OTP}md5 99 TeSt 50FE1962C4965880",
    "{SSHA}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO",
    "{CRAM-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6",
    "{PLAIN-TRUNC}6-secret",
];

fn verify(hash: &str, ceilings: &Ceilings) -> Result<bool, VerifyError> {
    let mut workspace = Workspace::new(&Cost::new(8, 1, 1).unwrap());
    let hash = StoredHash::new(hash.to_owned());
    password::verify(&Secret::from("secret"), "ann@example.org", &hash, ceilings, &mut workspace)
}

#[test]
fn a_hash_that_asks_for_too_much_is_refused_and_not_computed() {
    let hashes = [
        "{ARGON2ID}$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "{ARGON2ID}$argon2id$v=19$m=4294967295,t=4294967295,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "{ARGON2I}$argon2i$v=19$m=8,t=4294967295,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "{BLF-CRYPT}$2y$31$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
        "{CRYPT}$2b$16$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
        "{CRYPT}$5$rounds=999999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
        "$6$rounds=999999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
        "{CRYPT}$y$jFT$abcdefghijklmnop$x",
        "{CRYPT}$y$jzzzzzzzzzzzz$abcdefghijklmnop$x",
        "{CRYPT}$gy$jFT$abcdefghijklmnop$x",
        "{CRYPT}$7$KU..../....abcdefgh$x",
        "{CRYPT}$7$CU..../0...abcdefgh$x",
        "{CRYPT}$7$zzzzzzzzzzzabcdefgh$x",
        "{CRYPT}$sha1$4294967295$abcdefgh$x",
        "{CRYPT}$md5,rounds=4294967295$abcdefgh$$x",
        "{CRYPT}$md5$rounds=4294967295$abcdefgh$$x",
        "{CRYPT}_zzzzabcd/H6HLCcf7nw",
        "{PBKDF2}$1$salt$4294967295$0c60c80f961f0e71f3a9b524af6012062fe037a6",
        "{SCRAM-SHA-1}2147483647,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{OTP}sha1 4294967295 TeSt 63D936639734385B",
    ];
    for hash in hashes {
        let verdict = verify(hash, &Ceilings::default());
        let refused = matches!(verdict, Err(VerifyError::TooMuchMemory { .. } | VerifyError::TooMuchTime { .. }));
        assert!(refused, "{verdict:?} for {hash}");
        let inspected = password::inspect(&StoredHash::new(hash.to_owned()), &Ceilings::default());
        assert_eq!(inspected.err(), verdict.err(), "{hash}");
    }
}

#[test]
fn every_honest_hash_is_below_the_ceilings_that_the_properties_use() {
    for hash in HONEST {
        assert!(verify(hash, &CEILINGS).is_ok(), "{hash}");
    }
}

/// An honest hash in which a few letters were replaced, left out or put in.
fn nearly_honest() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..3, "[ -~éß\0]");
    (prop::sample::select(&HONEST[..]), prop::collection::vec(edit, 1..5)).prop_map(|(hash, edits)| {
        let mut letters: Vec<char> = hash.chars().collect();
        for (place, kind, replacement) in edits {
            let at = place.index(letters.len());
            let end = if kind == 0 { at } else { at + 1 };
            letters.splice(at..end, replacement.chars().take(if kind == 1 { 0 } else { 1 }));
        }
        letters.into_iter().collect()
    })
}

/// A prefix that is known, and behind it what hashes are made of in no order.
fn nearly_read() -> impl Strategy<Value = String> {
    let prefixes = prop::sample::select(
        &[
            "",
            "{",
            "{}",
            "{CRYPT}",
            "{MD5}",
            "{SSHA.HEX}",
            "{PLAIN.B64}",
            "{OTP}md5 ",
            "{PBKDF2}$1$",
            "{ARGON2ID}$argon2id$",
            "$1$",
            "$2y$",
            "$3$",
            "$5$",
            "$6$rounds=",
            "$7$",
            "$y$",
            "$gy$",
            "$sha1$",
            "$md5",
            "$md5,rounds=",
            "_",
        ][..],
    );
    (prefixes, "[./0-9A-Za-z$,=+ {}-]{0,100}").prop_map(|(prefix, rest)| format!("{prefix}{rest}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_at_all_makes_verifying_panic_or_exceed_its_ceilings(
        hash in prop_oneof![".*", nearly_honest(), nearly_read()],
    ) {
        let stored = StoredHash::new(hash.clone());
        let inspected = password::inspect(&stored, &CEILINGS);
        let verdict = verify(&hash, &CEILINGS);
        // What inspect refuses is refused the same way; what it lets pass can still turn out to be malformed.
        match (inspected, &verdict) {
            (Err(refused), verdict) => prop_assert_eq!(&Err(refused), verdict),
            (Ok(_), Err(VerifyError::Malformed { .. }) | Ok(_)) => {}
            (Ok(_), Err(other)) => prop_assert!(false, "{:?}", other),
        }
        let _ = password::needs_rehash(&Secret::from("secret"), &stored, &Cost::default());
    }
}
