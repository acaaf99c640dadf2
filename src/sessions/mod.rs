//! Who logged in, and when.

pub mod history;
