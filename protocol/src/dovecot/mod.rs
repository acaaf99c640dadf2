//! Dovecot's auth protocols, as its own auth service speaks them, and doveadm's HTTP API, as its clients do.
//!
//! Facts are from Dovecot 2.3.19 (src/auth, src/lib-auth), 2.4.1 and 2.4.4 (src/auth, src/lib-auth-client),
//! Postfix 3.7 (src/xsasl/xsasl_dovecot_server.c) and Exim 4.96 (src/auths/dovecot.c), and were seen on the wire.

pub mod client;
pub mod dict;
pub mod doveadm;
mod error;
pub mod escape;
mod handshake;
mod info;
pub mod mask;
pub mod master;

pub use error::{CommandName, ProtocolError};
pub use handshake::{Cookie, Handshake};
pub use info::ClientInfo;
