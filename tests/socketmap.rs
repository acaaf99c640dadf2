//! Which addresses are ours, as Postfix asks: `virtual_mailbox_domains` and `virtual_mailbox_maps`.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;

use gatepost_harness::alone::Alone;
use gatepost_harness::raw::Connection;
use rustix::process::Signal;

fn asked(client: &mut Connection, query: &str) -> String {
    client.send(format!("{}:{query},", query.len()));
    let answer = client.heard_up_to(",");
    answer.split_once(':').map_or(String::new(), |(_, answer)| answer.trim_end_matches(',').to_owned())
}

#[test]
fn an_address_is_ours_however_it_is_written() {
    let alone = Alone::start("\n[socketmap]\nrecipient_delimiter = \"+-\"\n");
    let gatepost = &alone.gatepost;
    gatepost.must(&["domain", "add", "bücher.example"], "");
    for user in ["ann@bücher.example", "jo-ann@example.org", "postmaster@example.org"] {
        gatepost.must(&["account", "add", user, "--generate"], "");
    }
    gatepost.must(&["account", "add", "away@example.org", "--generate", "--disabled"], "");
    let file = alone.directory.path().join("gatepost.toml");
    let settings = fs::read_to_string(&file).expect("the configuration");
    fs::write(&file, format!("default_domain = \"example.org\"\n{settings}")).expect("written");
    let mark = gatepost.process().mark();
    gatepost.process().signal(Signal::HUP);
    gatepost.process().wait_for_log("configuration read again", mark);

    let mut client = alone.connect("socketmap");
    for (key, expected) in [
        ("alice@example.org", "OK alice@example.org"),
        ("ALICE@Example.ORG", "OK alice@example.org"),
        ("alice", "OK alice@example.org"),
        ("alice+lists", "OK alice@example.org"),
        ("ann@bücher.example", "OK ann@xn--bcher-kva.example"),
        ("ann@XN--Bcher-KVA.example", "OK ann@xn--bcher-kva.example"),
        ("alice+lists@example.org", "OK alice@example.org"),
        ("alice-lists+more@example.org", "OK alice@example.org"),
        ("alice+@example.org", "OK alice@example.org"),
        ("jo-ann@example.org", "OK jo-ann@example.org"),
        // Postfix parts at the first of the characters too, and delivers to `jo`.
        ("jo-ann+lists@example.org", "NOTFOUND "),
        ("Postmaster+x@example.org", "OK postmaster@example.org"),
        // Mail for a mailbox that nobody may log in to just now is kept for when they may.
        ("away@example.org", "OK away@example.org"),
        ("nobody@example.org", "NOTFOUND "),
        ("alice@example.net", "NOTFOUND "),
        ("@example.org", "NOTFOUND "),
        ("+alice@example.org", "NOTFOUND "),
        ("alice@bücher.example@example.org", "NOTFOUND "),
        ("", "NOTFOUND "),
    ] {
        assert_eq!(asked(&mut client, &format!("virtual_mailbox_maps {key}")), expected, "{key:?}");
    }
    for (key, expected) in [
        ("example.org", "OK example.org"),
        ("EXAMPLE.org", "OK example.org"),
        ("bücher.example", "OK xn--bcher-kva.example"),
        ("sub.example.org", "NOTFOUND "),
        ("alice@example.org", "NOTFOUND "),
        ("", "NOTFOUND "),
    ] {
        assert_eq!(asked(&mut client, &format!("virtual_mailbox_domains {key}")), expected, "{key:?}");
    }
    assert!(asked(&mut client, "other_map x").starts_with("PERM "));
}
