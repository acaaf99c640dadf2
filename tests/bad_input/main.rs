//! What a hostile or broken peer can do at each door, and that somebody else's login is answered meanwhile.
//!
//! The peers are bytes from the test. What is heard is what the protocol has for it, or a closed connection.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod crowds;
mod http;
mod strangers;
mod words;

use gatepost_harness::alone::Alone;

/// The daemon lives, and nothing in it panicked.
fn assert_unharmed(alone: &Alone) {
    alone.assert_others_log_in("after all of it");
    let log = alone.gatepost.process().log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}
