//! Caller: who makes a call, and over which domains. The one place where an [`Author`] comes from.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::{Surface, forbidden, unauthorized};
use crate::account::{DomainName, Origin};
use crate::store::{Author, Door, Role, Token};
use crate::web::problem::Problem;

/// Who makes a call.
#[derive(Clone, Debug)]
pub(in crate::web) struct Caller {
    pub(super) identity: Identity,
    pub(super) surface: Surface,
    pub(super) door: Door,
}

#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// A process that the admin socket trusts, by its uid: it may do everything.
    Operator(u32),
    Bearer(Token),
    /// Whoever said nothing of itself.
    Stranger,
}

impl Caller {
    /// The author of what is done to a domain or to an account of it. It is refused whether or not it is there, so a
    /// caller learns nothing of domains that are not its own.
    pub(in crate::web) fn over(&self, domain: &DomainName) -> Result<Author, Problem> {
        if self.reaches(domain) {
            Ok(self.author())
        } else {
            Err(self.turned_away("this token is not for that domain"))
        }
    }

    /// The author of what is done to everything at once.
    pub(in crate::web) fn over_everything(&self) -> Result<Author, Problem> {
        if self.is_unlimited() {
            Ok(self.author())
        } else {
            Err(self.turned_away("this call is for admins of all domains"))
        }
    }

    /// Whether the caller may deal with the domain at all.
    pub(in crate::web) fn reaches(&self, domain: &DomainName) -> bool {
        match &self.identity {
            Identity::Operator(_) => true,
            Identity::Bearer(token) => token.domains.is_empty() || token.domains.contains(domain),
            Identity::Stranger => false,
        }
    }

    /// Whether the caller is an admin of everything.
    pub(in crate::web) fn is_unlimited(&self) -> bool {
        match &self.identity {
            Identity::Operator(_) => true,
            Identity::Bearer(token) => token.role == Role::Admin && token.domains.is_empty(),
            Identity::Stranger => false,
        }
    }

    /// The domains the caller is limited to; `None` is all.
    fn domains(&self) -> Option<&[DomainName]> {
        match &self.identity {
            Identity::Operator(_) => None,
            Identity::Bearer(token) => Some(token.domains.as_slice()).filter(|domains| !domains.is_empty()),
            Identity::Stranger => Some(&[]),
        }
    }

    /// What a list is limited to: the domain that is asked for, else the caller's only one; `None` is no limit.
    pub(in crate::web) fn one_domain(&self, asked_for: Option<DomainName>) -> Result<Option<DomainName>, Problem> {
        match (asked_for, self.domains()) {
            (Some(domain), _) => self.over(&domain).map(|_| Some(domain)),
            (None, None) => Ok(None),
            (None, Some([only])) => Ok(Some(only.clone())),
            (None, Some(_)) => Err(Problem::invalid("this token is for several domains; name one as `domain`")),
        }
    }

    /// What the caller may do; `None` for a stranger.
    pub(in crate::web) fn role(&self) -> Option<Role> {
        match &self.identity {
            Identity::Operator(_) => Some(Role::Admin),
            Identity::Bearer(token) => Some(token.role),
            Identity::Stranger => None,
        }
    }

    /// Where the caller itself is, whomever it speaks for.
    pub(in crate::web) fn origin(&self) -> Origin {
        self.surface.peer().origin()
    }

    /// As it stands in the log behind what the caller did.
    pub(in crate::web) fn name(&self) -> String {
        match &self.identity {
            Identity::Operator(uid) => format!("uid:{uid}"),
            Identity::Bearer(token) => format!("token:{}", token.name),
            Identity::Stranger => "nobody".to_owned(),
        }
    }

    fn author(&self) -> Author {
        Author { who: self.name(), door: self.door, origin: Some(self.origin()) }
    }

    /// Who is unknown is asked who it is; who is known has heard.
    pub(in crate::web) fn turned_away(&self, detail: &str) -> Problem {
        match (&self.identity, self.surface) {
            (Identity::Bearer(_), _) => Problem::new(StatusCode::FORBIDDEN, "forbidden", detail),
            (_, Surface::Admin(_)) => forbidden(),
            (_, Surface::Public(_)) => unauthorized(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unauthorized)
    }
}
