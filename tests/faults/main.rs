//! What breaks under the daemon, or ends it: what each peer hears then, and that it mends without help.
//!
//! "Not now" is never "no": not of a right password, not of a wrong one, not of an unknown user.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod doors;
mod restart;
mod settings;
mod store;

/// The larger of two numbers where there is time for it.
fn number(usual: usize, long: usize) -> usize {
    if std::env::var_os("GATEPOST_TEST_LONG").is_some() { long } else { usual }
}
