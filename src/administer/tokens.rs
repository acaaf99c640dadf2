//! Tokens: made, listed, revoked, and recognised.
//!
//! A token's text is `gp_` and 32 random bytes in URL-safe base64. It is told once; only its digest is kept.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Administer;
use crate::account::DomainName;
use crate::change_password::{NotDone, NotNow, Refused};
use crate::store::{Author, Change, Conflict, Role, Token, TokenDigest};

const PREFIX: &str = "gp_";
const RANDOM_BYTES: usize = 32;
/// Longest name of a token, in bytes.
const NAME_LIMIT: usize = 64;

/// The text of a token, as its bearer shows it.
pub struct TokenText(Zeroizing<String>);

/// A token that was made.
#[derive(Debug)]
pub struct TokenMade {
    pub token: Token,
    /// For the one who asked for it; nobody hears it again.
    pub text: TokenText,
}

impl TokenText {
    /// The text that a client sent, if it can be one of ours: whatever else it is costs no digest.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut random = Zeroizing::new([0; RANDOM_BYTES]);
        let encoded = text.strip_prefix(PREFIX)?;
        let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut *random).ok()?;
        (length == RANDOM_BYTES).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    fn random() -> Result<Self, NotNow> {
        let mut random = Zeroizing::new([0; RANDOM_BYTES]);
        getrandom::fill(&mut *random).map_err(NotNow::Randomness)?;
        Ok(Self(Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*random)))))
    }

    /// For the one answer that tells it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn digest(&self) -> TokenDigest {
        TokenDigest::new(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenText(..)")
    }
}

impl Administer {
    /// All tokens, in the order of their names.
    ///
    /// # Errors
    /// Only "not now".
    pub async fn tokens(&self) -> Result<Vec<Token>, NotDone> {
        Ok(self.store.tokens().await?)
    }

    /// Whose token that is, if it is one that was not revoked.
    ///
    /// # Errors
    /// Only "not now".
    pub async fn bearer(&self, text: &TokenText) -> Result<Option<Token>, NotDone> {
        Ok(self.store.token(&text.digest()).await?)
    }

    /// Makes a token for some domains, or without any named for all.
    ///
    /// # Errors
    /// Refused when the name is taken or cannot be one, or a domain is not there.
    pub async fn add_token(
        &self,
        name: String,
        role: Role,
        mut domains: Vec<DomainName>,
        author: &Author,
        now: Timestamp,
    ) -> Result<TokenMade, NotDone> {
        check_name(&name)?;
        domains.sort();
        domains.dedup();
        for domain in &domains {
            self.store.domain(domain).await?.ok_or(Conflict::NoDomain)?;
        }
        let text = TokenText::random()?;
        let token = Token { name, role, domains, created: now };
        self.revocation.commit(vec![Change::AddToken(token.clone(), text.digest())], author, now).await?;
        Ok(TokenMade { token, text })
    }

    /// Revokes a token: whoever still has it is unknown from its next request on.
    ///
    /// # Errors
    /// Refused when there is no such token.
    pub async fn revoke_token(&self, name: &str, author: &Author, now: Timestamp) -> Result<(), NotDone> {
        if check_name(name).is_err() {
            return Err(Conflict::NoToken.into());
        }
        self.revocation.commit(vec![Change::RevokeToken { name: name.to_owned() }], author, now).await?;
        Ok(())
    }
}

/// It stands in the log behind what was done with it, so it is one word.
fn check_name(name: &str) -> Result<(), Refused> {
    let fits = (1..=NAME_LIMIT).contains(&name.len());
    if fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        Ok(())
    } else {
        Err(Refused::Invalid(format!("the name of a token is 1 to {NAME_LIMIT} ASCII letters, digits and -_.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_recognised_and_shown_to_nobody() {
        let made = TokenText::random().expect("randomness");
        let heard = TokenText::parse(made.expose().as_bytes()).expect("a token");
        assert_eq!(heard.digest(), made.digest());
        assert_eq!(made.expose().len(), 46);
        assert_eq!(format!("{made:?}"), "TokenText(..)");
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        let long = format!("gp_{}", "A".repeat(1 << 20));
        let misspelt = format!("GP_{}", "A".repeat(43));
        let padded = format!("gp_{}=", "A".repeat(43));
        let short = format!("gp_{}", "A".repeat(42));
        for text in ["", "gp_", "gp_AAAA", &long, &misspelt, &padded, &short, "gp_äöü"] {
            assert!(TokenText::parse(text.as_bytes()).is_none(), "{}", text.get(..8).unwrap_or(text));
        }
        assert!(TokenText::parse(b"gp_\xff\xfe").is_none());
    }

    #[test]
    fn a_name_is_one_word() {
        for name in ["webmail", "panel-2", "a.b_c"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "two words", "a:b", "a/b", "ä", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
