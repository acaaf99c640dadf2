//! The counters and messages in a real Redis: what others may rely on, and every way in which it fails.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod contract;
mod daemon;
mod failover;
mod faults;
mod mirror;
mod node;
mod tls;
