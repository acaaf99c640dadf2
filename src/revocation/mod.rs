//! Revocation: whether what was granted still holds, as far as this process can know without asking the store.

pub mod clock;
pub mod follow;
pub mod redis;
pub mod tail;
#[cfg(test)]
mod tests;

pub use clock::BootTime;
pub use tail::{Bounds, Grant, Position, Sharing, Standing, Tail};
