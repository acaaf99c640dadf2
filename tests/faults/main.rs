//! What breaks under the daemon, or ends it: what each peer hears then, and that it mends without help.
//!
//! "Not now" is never "no": not of a right password, not of a wrong one, not of an unknown user.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod doors;
mod restart;
mod settings;
mod store;
