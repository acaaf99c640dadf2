//! Variables: Dovecot expands the extra fields of a passwd-file at each login; here it is done once.

use crate::account::Username;

/// A value with the variables that a name alone decides, in the notations of Dovecot 2.3 and 2.4.
///
/// # Errors
/// The first variable that is another at each login, or that nobody knows.
pub(super) fn expand(value: &str, username: &Username) -> Result<String, String> {
    let mut expanded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.push_str(before);
        let (variable, tail) = first_variable(after);
        match variable.replace(' ', "").as_str() {
            "u" | "{user}" => expanded.push_str(username.as_str()),
            "n" | "{username}" | "{user|username}" => expanded.push_str(username.local_part()),
            "d" | "{domain}" | "{user|domain}" => expanded.push_str(username.domain().as_str()),
            "%" => expanded.push('%'),
            _ => return Err(format!("%{variable}")),
        }
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// What follows a `%`, and the text behind it. `L`, lower case, is how names are here anyway.
fn first_variable(after: &str) -> (&str, &str) {
    let after = after.strip_prefix('L').unwrap_or(after);
    let end = if after.starts_with('{') {
        after.find('}').map(|at| at + 1)
    } else {
        after.chars().next().map(char::len_utf8)
    };
    after.split_at_checked(end.unwrap_or(after.len())).unwrap_or((after, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_decides_is_expanded_and_the_rest_named() {
        let ann: Username = "Ann@Example.org".parse().expect("a name");
        let cases = [
            ("maildir:/srv/%d/%n", Ok("maildir:/srv/example.org/ann")),
            ("%Lu %Ln@%Ld", Ok("ann@example.org ann@example.org")),
            ("%{user}|%{username}|%{domain}", Ok("ann@example.org|ann|example.org")),
            ("%{user | domain}", Ok("example.org")),
            ("90%% full", Ok("90% full")),
            ("", Ok("")),
            ("%r", Err("%r")),
            ("/srv/%1n/%n", Err("%1")),
            ("%{rip}", Err("%{rip}")),
            ("%{user", Err("%{user")),
            ("%é", Err("%é")),
            ("%", Err("%")),
            ("%L", Err("%")),
        ];
        for (written, expected) in cases {
            assert_eq!(expand(written, &ann), expected.map(str::to_owned).map_err(str::to_owned), "{written}");
        }
    }
}
