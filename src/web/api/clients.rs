//! Clients: the programs and browsers that an account is used with.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::account::Origin;
use crate::client_text::{self, SERVICE_LIMIT, SESSION_LIMIT};
use crate::store::{Client, Conflict, Sighting};
use crate::web::WebState;
use crate::web::guard::OfAccount;
use crate::web::input::{Body, Path};
use crate::web::problem::Problem;

/// A program or a browser, by what it said of itself. Logins are of one client when kind, credential, origin and user
/// agent are the same.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ClientView {
    pub(crate) id: u64,
    /// `imap`, `smtp`, …, or what a webmail calls itself.
    pub(crate) kind: String,
    /// `main`, or the number of an application password; `null` where a webmail reported it.
    pub(crate) credential: Option<String>,
    /// An address, or `local:UID`.
    pub(crate) origin: String,
    /// A browser's `User-Agent`, or a mail program's IMAP ID; `null` if it said nothing.
    pub(crate) user_agent: Option<String>,
    /// The newest.
    pub(crate) session: Option<String>,
    pub(crate) first_seen: String,
    pub(crate) last_seen: String,
    pub(crate) logins: u64,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ClientList {
    pub(crate) clients: Vec<ClientView>,
}

/// A session of a webmail.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "kind": "roundcube", "session": "4c1f", "remote_ip": "192.0.2.7", "user_agent": "Mozilla/5.0" }))]
#[serde(deny_unknown_fields)]
pub(super) struct SessionBody {
    /// What the webmail calls itself: one word, as `roundcube`.
    kind: String,
    /// What the webmail calls the session: a name that opens nothing, since it is shown to whoever may list clients.
    session: String,
    /// Where the browser is.
    #[schema(value_type = String)]
    remote_ip: IpAddr,
    /// As the browser sent it.
    user_agent: Option<String>,
}

/// What stands behind the account in the path.
#[derive(Debug, Deserialize)]
pub(super) struct ClientId {
    id: String,
}

impl SessionBody {
    /// The names are the webmail's own, and to be found again: one that cannot be kept whole is not taken.
    fn check(&self) -> Result<(), Problem> {
        if self.kind.is_empty() || client_text::service(&self.kind) != self.kind || self.kind.contains(' ') {
            return Err(Problem::invalid(format!(
                "`kind` is one word of at most {SERVICE_LIMIT} bytes, as `roundcube`"
            )));
        }
        if client_text::session(&self.session).as_ref() != Some(&self.session) {
            return Err(Problem::invalid(format!("`session` is one line of 1 to {SESSION_LIMIT} bytes")));
        }
        Ok(())
    }
}

impl From<Client> for ClientView {
    fn from(client: Client) -> Self {
        Self {
            id: client.id,
            kind: client.kind,
            credential: client.credential.map(|name| name.to_string()),
            origin: client.origin,
            user_agent: client.user_agent,
            session: client.session,
            first_seen: client.first_seen.to_string(),
            last_seen: client.last_seen.to_string(),
            logins: client.logins,
        }
    }
}

/// The clients of an account, last seen first. Those seen longest ago are forgotten when there are very many.
#[utoipa::path(
    get, path = "/accounts/{user}/clients", tag = "clients", params(("user" = String, Path, example = "ann@example.org")),
    responses((status = 200, body = ClientList), (status = 404), (status = 503))
)]
pub(super) async fn list_clients(
    OfAccount { user, .. }: OfAccount,
    State(state): State<Arc<WebState>>,
) -> Result<Json<ClientList>, Problem> {
    let clients = state.administer.clients(&user).await?;
    Ok(Json(ClientList { clients: clients.into_iter().map(Into::into).collect() }))
}

/// Reports a session of a webmail: at its login, and again whenever the webmail wants it to be seen.
#[utoipa::path(
    post, path = "/accounts/{user}/clients", tag = "clients", request_body = SessionBody,
    params(("user" = String, Path, example = "ann@example.org")),
    responses(
        (status = 200, body = ClientView), (status = 404), (status = 422),
        (status = 503)
    )
)]
pub(super) async fn report_client(
    OfAccount { user, .. }: OfAccount,
    State(state): State<Arc<WebState>>,
    Body(body): Body<SessionBody>,
) -> Result<Json<ClientView>, Problem> {
    body.check()?;
    let sighting = Sighting {
        user,
        at: Timestamp::now(),
        kind: body.kind,
        credential: None,
        origin: Origin::Address(body.remote_ip.to_canonical()).to_string(),
        user_agent: body.user_agent.as_deref().and_then(client_text::user_agent),
        session: Some(body.session),
    };
    Ok(Json(state.administer.report_client(&sighting).await?.into()))
}

/// Forgets a client. It ends nothing yet: whoever is logged in stays so, and the next login lists the client again.
#[utoipa::path(
    delete, path = "/accounts/{user}/clients/{id}", tag = "clients",
    params(("user" = String, Path, example = "ann@example.org"), ("id" = u64, Path)),
    responses((status = 204), (status = 404), (status = 503))
)]
pub(super) async fn forget_client(
    OfAccount { user, author }: OfAccount,
    State(state): State<Arc<WebState>>,
    Path(ClientId { id }): Path<ClientId>,
) -> Result<StatusCode, Problem> {
    // What is no number is nobody's.
    let id = id.parse().map_err(|_| Problem::from(Conflict::NoClient))?;
    state.administer.forget_client(&user, id, &author, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
