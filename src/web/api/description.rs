//! Description: what the OpenAPI document says of every call, so that no call has to: who may make it, and which
//! problems it may answer with whatever it does.

use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response};

use super::PREFIX;
use crate::web::guard::calls::{Opening, opening};
use crate::web::problem::Problem;

const TOKEN: &str = "token";

/// What the guard says, and what a call says that the store does not let work now.
const ANY_CALL: [(&str, &str); 3] = [
    ("401", "nobody who may: no token, an unknown one, or a wrong password"),
    ("403", "the token is for something else"),
    ("503", "not now; try again"),
];
const WITH_A_PATH: [(&str, &str); 1] = [("400", "the path is not percent-encoded UTF-8")];
const WITH_PARAMETERS: [(&str, &str); 1] = [("422", "a parameter cannot be")];
const WITH_A_BODY: [(&str, &str); 5] = [
    ("400", "the body is no JSON"),
    ("408", "the body did not arrive in time"),
    ("413", "the body is too large"),
    ("415", "the body is neither JSON nor a form"),
    ("422", "a value of the body cannot be"),
];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "gatepost",
        description = "Mailboxes, their passwords, who is logged in, and what a change has ended.",
        license(name = "MIT")
    ),
    components(schemas(Problem))
)]
struct Beginning;

/// The document before any call is in it.
pub(super) fn beginning() -> OpenApi {
    let mut description = Beginning::openapi();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of `gatepost token add`. The admin socket trusts its peer and needs none."));
    let components = description.components.get_or_insert_default();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer.build()));
    description
}

/// Says of each call what all calls have in common.
pub(super) fn complete(description: &mut OpenApi) {
    for (path, item) in &mut description.paths.paths {
        let path = path.strip_prefix(PREFIX).unwrap_or(path);
        for (method, operation) in operations(item) {
            let opening = opening(method, path);
            let is_public = opening == Some(Opening::Everybody);
            let description = operation.description.take().map_or_else(String::new, |text| text + "\n\n");
            operation.description = Some(description + &for_whom(opening));
            let token = SecurityRequirement::new(TOKEN, [] as [&str; 0]);
            operation.security =
                Some(if is_public { vec![SecurityRequirement::default(), token] } else { vec![token] });
            let mut common = ANY_CALL.to_vec();
            if path.contains('{') {
                common.extend(WITH_A_PATH);
            } else if operation.parameters.is_some() {
                common.extend(WITH_PARAMETERS);
            }
            if operation.request_body.is_some() {
                common.extend(WITH_A_BODY);
            }
            complete_responses(operation, &common);
        }
    }
}

fn for_whom(opening: Option<Opening>) -> String {
    match opening {
        None => "Closed.".to_owned(),
        Some(Opening::Everybody) => "For everybody, also without a token.".to_owned(),
        Some(Opening::Unlimited) => "For tokens of the role admin that are for all domains.".to_owned(),
        Some(Opening::Roles(roles)) => {
            let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
            format!("For tokens of the role {}, over their domains.", roles.join(" or "))
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
    all.into_iter().filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// Every error is a problem document.
fn complete_responses(operation: &mut Operation, common: &[(&str, &str)]) {
    let responses = &mut operation.responses.responses;
    for (status, reason) in common {
        responses.entry((*status).to_owned()).or_insert_with(|| Response::new(*reason).into());
    }
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    for (_, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        if let RefOr::T(response) = response {
            response.content.insert("application/problem+json".to_owned(), problem.clone().into());
        }
    }
}
