//! What stands in Redis as text: keys, numbers, and the message of a change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{CredentialName, Generation, Username};

/// Longer messages are not ours: a name has 318 bytes at most, a reason a few words.
const MESSAGE_LIMIT: usize = 2_048;
/// Digits of a number that can be a generation. It leaves the store's own sequence, of 64 bits, room above whatever
/// somebody may write into Redis.
const DIGITS: usize = 18;

/// What was granted under a lower generation is void: the JSON object of the channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    pub user: Username,
    /// [`CredentialName::Main`] is the account as a whole.
    #[serde(with = "credential")]
    pub credential: CredentialName,
    pub generation: Generation,
    /// The kind of change; what a later version may add is no mistake.
    pub reason: String,
    pub at: Timestamp,
}

impl Revoked {
    /// What a message on the channel says; `None` if it is none of ours.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let message = (message.len() <= MESSAGE_LIMIT).then_some(message)?;
        serde_json::from_slice(message).ok().filter(|revoked: &Self| revoked.generation.0.to_string().len() <= DIGITS)
    }

    pub(super) fn to_json(&self) -> String {
        // Strings and numbers only: there is nothing in it that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }
}

pub(super) fn channel(prefix: &str) -> String {
    format!("{prefix}:revoked")
}

pub(super) fn key(prefix: &str, user: &Username, credential: CredentialName) -> String {
    match credential {
        CredentialName::Main => format!("{prefix}:generation:{user}"),
        CredentialName::Application(id) => format!("{prefix}:generation:{user}/{id}"),
    }
}

/// The generation that stands in a counter, by the same rule as in `raise.lua`.
pub(super) fn generation(held: &[u8]) -> Option<Generation> {
    let is_number = held == b"0" || held.first().is_some_and(|digit| (b'1'..=b'9').contains(digit));
    let short = held.len() <= DIGITS && held.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(held).ok().filter(|_| is_number && short)?;
    text.parse().ok().map(Generation)
}

/// `null` for the main password, the number of an application password.
mod credential {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::account::CredentialName;

    pub(super) fn serialize<S: Serializer>(name: &CredentialName, serializer: S) -> Result<S::Ok, S::Error> {
        match name {
            CredentialName::Main => None,
            CredentialName::Application(id) => Some(id),
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CredentialName, D::Error> {
        let id = Option::deserialize(deserializer)?;
        Ok(id.map_or(CredentialName::Main, CredentialName::Application))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(credential: CredentialName, generation: u64) -> Revoked {
        Revoked {
            user: "ann@example.org".parse().expect("a name"),
            credential,
            generation: Generation(generation),
            reason: "password-set".to_owned(),
            at: "2026-11-24T14:15:00Z".parse().expect("a time"),
        }
    }

    #[test]
    fn a_message_is_the_same_object_for_everybody() {
        let cases = [
            (
                revoked(CredentialName::Main, 7),
                r#"{"user":"ann@example.org","credential":null,"generation":7,"reason":"password-set","at":"2026-11-24T14:15:00Z"}"#,
            ),
            (
                revoked(CredentialName::Application(3), 9_007_199_254_740_993),
                r#"{"user":"ann@example.org","credential":3,"generation":9007199254740993,"reason":"password-set","at":"2026-11-24T14:15:00Z"}"#,
            ),
        ];
        for (revoked, json) in cases {
            assert_eq!(revoked.to_json(), json);
            assert_eq!(Revoked::parse(json.as_bytes()), Some(revoked));
        }
    }

    #[test]
    fn what_is_no_message_of_ours_is_none() {
        let good = revoked(CredentialName::Main, 7).to_json();
        let long = good.replace("password-set", &"x".repeat(MESSAGE_LIMIT));
        let cases = [
            "",
            "7",
            "null",
            r#"{"user":"ann@example.org"}"#,
            &good.replace("ann@example.org", "ann"),
            &good.replace("ann@example.org", "a b@example.org"),
            &good.replace(":7,", ":-7,"),
            &good.replace(":7,", ":1000000000000000000,"),
            &good.replace("null", "\"main\""),
            &good.replace("2026-11-24T14:15:00Z", "yesterday"),
            &long,
        ];
        for message in cases {
            assert_eq!(Revoked::parse(message.as_bytes()), None, "{message}");
        }
        assert!(
            Revoked::parse(good.replace('}', ",\"node\":\"b\"}").as_bytes()).is_some(),
            "a later version adds to it"
        );
    }

    #[test]
    fn every_password_has_a_key_of_its_own() {
        let user = "ann@example.org".parse().expect("a name");
        assert_eq!(key("gatepost", &user, CredentialName::Main), "gatepost:generation:ann@example.org");
        assert_eq!(key("x:y", &user, CredentialName::Application(12)), "x:y:generation:ann@example.org/12");
    }

    #[test]
    fn only_a_plain_number_is_a_generation() {
        let cases: [(&[u8], Option<u64>); 13] = [
            (b"0", Some(0)),
            (b"7", Some(7)),
            (b"9007199254740993", Some(9_007_199_254_740_993)),
            (b"999999999999999999", Some(999_999_999_999_999_999)),
            (b"1000000000000000000", None),
            (b"", None),
            (b"00", None),
            (b"07", None),
            (b"+7", None),
            (b"-7", None),
            (b"7 ", None),
            (b"7.0", None),
            (b"\xff", None),
        ];
        for (held, number) in cases {
            assert_eq!(generation(held), number.map(Generation), "{held:?}");
        }
    }
}
