//! Changes and logins by many at once, and what goes wrong under them: whatever happens, no answer is untrue.
//!
//! Everything asked and answered is recorded and judged afterwards; see `gatepost_harness::checker`.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking; its figures are for people")]

mod books;
mod crowd;
mod faults;
mod kills;
mod settled;
mod together;
