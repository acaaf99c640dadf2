//! Subject: the account or the domain that a path names, for a caller who may deal with it.
//!
//! No call reads those names from its path in any other way, so none can forget to ask whose domain it is.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;

use super::Caller;
use crate::account::{DomainName, Username};
use crate::store::Author;
use crate::web::WebState;
use crate::web::input::Path;
use crate::web::problem::Problem;

/// The account of `{user}`, and the author of what is done to it.
#[derive(Debug)]
pub(in crate::web) struct OfAccount {
    pub(in crate::web) user: Username,
    pub(in crate::web) author: Author,
}

/// The domain of `{domain}`, and the author of what is done to it.
#[derive(Debug)]
pub(in crate::web) struct OfDomain {
    pub(in crate::web) domain: DomainName,
    pub(in crate::web) author: Author,
}

impl FromRequestParts<Arc<WebState>> for OfAccount {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<WebState>) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Names {
            user: String,
        }
        let caller = Caller::from_request_parts(parts, state).await?;
        let Path(Names { user }) = Path::from_request_parts(parts, state).await?;
        // What cannot be a name is nobody's.
        let user = state.username(&user).map_err(|_| Problem::no_account())?;
        let author = caller.over(&user.domain())?;
        Ok(Self { user, author })
    }
}

impl FromRequestParts<Arc<WebState>> for OfDomain {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<WebState>) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Names {
            domain: String,
        }
        let caller = Caller::from_request_parts(parts, state).await?;
        let Path(Names { domain }) = Path::from_request_parts(parts, state).await?;
        let domain: DomainName = domain.parse().map_err(|_| Problem::no_domain())?;
        let author = caller.over(&domain)?;
        Ok(Self { domain, author })
    }
}
