//! What Postfix asks besides logins.

pub mod socketmap;
