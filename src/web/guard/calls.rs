//! Calls: all there are, and who may make each. One without a row here is closed to everybody.
//!
//! That callers keep to their domains is not said here: a [`Caller`](super::Caller) gives an author for those alone.

use crate::store::Role;

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) enum Opening {
    /// Everybody: the call itself asks for a password.
    Everybody,
    /// The operator, and tokens of these roles.
    Roles(&'static [Role]),
    /// The operator, and admins' tokens that are not limited to some domains.
    Unlimited,
}

const ADMIN: Opening = Opening::Roles(&[Role::Admin]);
const WEBMAIL: Opening = Opening::Roles(&[Role::Admin, Role::Webmail]);
const LOGIN: Opening = Opening::Roles(&[Role::Admin, Role::Login]);
const ANY_TOKEN: Opening = Opening::Roles(&[Role::Admin, Role::Webmail, Role::Login]);

/// Method, path below `/api/v1`, and whom it is open to.
const CALLS: [(&str, &str, Opening); 26] = [
    ("GET", "/openapi.json", ANY_TOKEN),
    ("GET", "/status", Opening::Unlimited),
    ("GET", "/domains", ADMIN),
    ("POST", "/domains", ADMIN),
    ("PATCH", "/domains/{domain}", ADMIN),
    ("DELETE", "/domains/{domain}", ADMIN),
    ("GET", "/accounts", ADMIN),
    ("POST", "/accounts", ADMIN),
    ("GET", "/accounts/{user}", ADMIN),
    ("PATCH", "/accounts/{user}", ADMIN),
    ("DELETE", "/accounts/{user}", ADMIN),
    ("PUT", "/accounts/{user}/password", ADMIN),
    ("POST", "/accounts/{user}/logout", ADMIN),
    ("GET", "/accounts/{user}/generation", WEBMAIL),
    ("GET", "/accounts/{user}/logins", WEBMAIL),
    ("GET", "/accounts/{user}/clients", WEBMAIL),
    ("POST", "/accounts/{user}/clients", WEBMAIL),
    ("DELETE", "/accounts/{user}/clients/{id}", WEBMAIL),
    ("POST", "/password", Opening::Everybody),
    ("POST", "/auth", LOGIN),
    ("POST", "/logout", Opening::Unlimited),
    ("GET", "/receipts/{id}", WEBMAIL),
    ("GET", "/audit", ADMIN),
    ("GET", "/tokens", Opening::Unlimited),
    ("POST", "/tokens", Opening::Unlimited),
    ("DELETE", "/tokens/{name}", Opening::Unlimited),
];

/// Whom a call is open to; `None` for what is no call.
pub(in crate::web) fn opening(method: &str, path: &str) -> Option<Opening> {
    CALLS.iter().find(|call| (call.0, call.1) == (method, path)).map(|call| call.2)
}

/// The methods that a path takes.
pub(super) fn methods(path: &str) -> impl Iterator<Item = &'static str> {
    CALLS.iter().filter(move |call| call.1 == path).map(|call| call.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_open_as_its_row_says_and_without_one_to_nobody() {
        assert_eq!(opening("POST", "/password"), Some(Opening::Everybody));
        assert_eq!(opening("POST", "/tokens"), Some(Opening::Unlimited));
        assert_eq!(opening("GET", "/password"), None);
        assert_eq!(opening("GET", "/no-such-call"), None);
    }

    #[test]
    fn no_call_has_two_rows() {
        for (number, call) in CALLS.iter().enumerate() {
            let first = CALLS.iter().position(|other| (other.0, other.1) == (call.0, call.1));
            assert_eq!(first, Some(number), "{} {}", call.0, call.1);
        }
    }

    #[test]
    fn only_a_password_opens_a_call_to_everybody() {
        let open: Vec<_> = CALLS.iter().filter(|call| call.2 == Opening::Everybody).map(|call| call.1).collect();
        assert_eq!(open, ["/password"]);
    }
}
