//! What mail servers say to the place where passwords live: bytes to messages and back.
//!
//! Nothing here sees a socket, a clock, a hash or a store. A session takes the bytes that arrived
//! (`receive`) and the time, gives what they mean (`next_event`), takes the answers (`reply` and its
//! like) and holds the bytes to be written (`output`). What a peer cannot hear, and what it must be
//! told instead, is known here and nowhere else; `README.md` lists the messages and who sends them.
//!
//! - [`mod@line`]: bytes in, bounded lines out.
//! - [`sasl`]: the PLAIN and LOGIN exchanges.
//! - [`dovecot`]: the auth client protocol, spoken by Dovecot's login processes, Postfix and Exim; the auth master
//!   protocol of its mail processes; the dict protocol of its auth workers and plugins; the HTTP API of its doveadm.
//! - [`postfix`]: the lookups of Postfix.
//! - [`poppassd`]: a webmail changes its user's password.

#![warn(missing_docs)]

pub mod dovecot;
pub mod line;
pub mod poppassd;
pub mod postfix;
pub mod sasl;
mod secret;

pub use secret::Secret;
