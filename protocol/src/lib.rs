//! What mail servers say to the place where passwords live: bytes to messages and back.
//!
//! Nothing here sees a socket, a clock, a hash or a store.

mod secret;

pub use secret::Secret;
