//! What may be a new password.
//!
//! Two questions apart: the shape (what can be a password at all, old or new) and the policy (what a new one must have).
//! Every unmet reason is told at once.

/// Longest password, in bytes.
pub const PASSWORD_LIMIT: usize = 256;

/// Why bytes cannot be a password, old or new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misshapen {
    Empty,
    TooLong,
    ControlCharacter,
    NotUtf8,
}

/// The text of a password, if these bytes can be one at all.
///
/// # Errors
/// The first rule of shape that they break.
pub fn shape(bytes: &[u8]) -> Result<&str, Misshapen> {
    if bytes.is_empty() {
        return Err(Misshapen::Empty);
    }
    if bytes.len() > PASSWORD_LIMIT {
        return Err(Misshapen::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Misshapen::NotUtf8)?;
    if text.chars().any(char::is_control) { Err(Misshapen::ControlCharacter) } else { Ok(text) }
}
