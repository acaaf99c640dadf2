//! Client text: what a program says of itself, made fit to be kept and shown to people.
//!
//! One line, without the characters that a terminal or a browser would obey, and cut. A door calls this as it takes such
//! text in, so that nobody behind it has to.
//!
//! Trusts: nobody.
//! Fails:  never; of text that is nothing but such characters nothing is left.
//! Limits: it stays a claim; a program may call itself what it likes.

/// Longest name of a service, in bytes.
pub const SERVICE_LIMIT: usize = 32;
/// Longest name of a session, in bytes.
pub const SESSION_LIMIT: usize = 128;
/// In bytes: browsers stay below it, an IMAP ID may be longer.
const USER_AGENT_LIMIT: usize = 256;

/// `imap`, `smtp`, …, or whatever a peer calls what it serves.
#[must_use]
pub fn service(text: &str) -> String {
    one_line(text, SERVICE_LIMIT)
}

/// The peer's own name for a session.
#[must_use]
pub fn session(text: &str) -> Option<String> {
    Some(one_line(text, SESSION_LIMIT)).filter(|session| !session.is_empty())
}

/// A browser's `User-Agent`, or the parameters of an IMAP ID.
#[must_use]
pub fn user_agent(text: &str) -> Option<String> {
    Some(one_line(text, USER_AGENT_LIMIT)).filter(|user_agent| !user_agent.is_empty())
}

fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    for character in text.chars().filter(|character| !is_invisible(*character)) {
        let character = if character.is_control() || character.is_whitespace() { ' ' } else { character };
        let follows_space = line.is_empty() || line.ends_with(' ');
        if character == ' ' && follows_space {
            continue;
        }
        if line.len() + character.len_utf8() > limit {
            break;
        }
        line.push(character);
    }
    line.truncate(line.trim_end().len());
    line
}

/// Zero-width characters, and those that turn the direction of what follows (Unicode's UAX #9 and general category Cf).
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_client_says_becomes_one_visible_line() {
        let cases = [
            ("\"name\" \"Thunderbird\" \"version\" \"128.5\"", Some("\"name\" \"Thunderbird\" \"version\" \"128.5\"")),
            ("  Mozilla/5.0\r\n\t(X11;  Linux)\n", Some("Mozilla/5.0 (X11; Linux)")),
            ("\u{1b}[2Jmail\0\u{9b}31m", Some("[2Jmail 31m")),
            ("evil\u{202e}gro\u{200b}\u{2028}x", Some("evilgro x")),
            ("Почта 1.0 für Ännchen", Some("Почта 1.0 für Ännchen")),
            ("\r\n\u{feff} \t", None),
            ("", None),
        ];
        for (said, kept) in cases {
            assert_eq!(user_agent(said).as_deref(), kept, "{said:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_two_characters() {
        assert_eq!(service(&"x".repeat(8192)).len(), SERVICE_LIMIT);
        let umlauts = session(&format!("a{}", "ä".repeat(500))).expect("something is left");
        assert_eq!((umlauts.len(), umlauts.chars().count()), (127, 64));
    }

    proptest! {
        #[test]
        fn what_was_cleaned_stays_as_it_is(said: String) {
            let kept = user_agent(&said).unwrap_or_default();
            prop_assert!(kept.len() <= USER_AGENT_LIMIT);
            prop_assert!(!kept.chars().any(|character| character.is_control() || is_invisible(character)));
            prop_assert_eq!(user_agent(&kept).unwrap_or_default(), kept);
        }
    }
}
