//! The HTTP API as its clients see it: what each call does, to whom it is open, and how it says no.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod calls;
mod clients;
mod command;
mod limits;
mod logins;
mod receipts;
mod service;
mod surfaces;
mod tokens;
