//! What a listener shows of itself to whom it does not know, and what it says of what is not there.

use std::net::SocketAddr;

use gatepost::listen::Peer;
use gatepost::web::Surface;
use serde_json::Value;

use crate::service::{ADMIN, Client, Service};

fn public() -> Surface {
    Surface::Public(Peer::Remote(SocketAddr::from(([192, 0, 2, 1], 4711))))
}

#[tokio::test]
async fn outside_there_is_no_telling_what_exists() {
    let service = Service::start().await;
    let public_client = Client::new(&service.listen(public()));
    for path in ["/openapi.json", "/no/such/call", "/accounts/nobody@example.org", "/../../healthz", "/metrics"] {
        let (status, _) = public_client.call("GET", path, Value::Null).await;
        assert_eq!(status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_hears_the_right_ones() {
    let service = Service::start().await;
    let admin = Client::new(&service.listen(ADMIN));
    for (method, path, allowed) in [
        ("PUT", "/api/v1/domains", "GET, POST"),
        ("GET", "/api/v1/password", "POST"),
        ("TRACE", "/api/v1/status", "GET"),
    ] {
        let response = admin.request(method, path).send().await.expect("an answer");
        let heard = response.headers().get("allow").and_then(|value| value.to_str().ok()).map(str::to_owned);
        assert_eq!((response.status().as_u16(), heard.as_deref()), (405, Some(allowed)), "{method} {path}");
    }
}

/// A name that is no path of ours must not pass for one that is.
#[tokio::test]
async fn a_path_is_what_it_says_and_nothing_near_it() {
    let service = Service::start().await;
    let admin = Client::new(&service.listen(ADMIN));
    let paths = ["/api/v1/domains/", "/api/v1//domains", "/api/v1/Domains", "/domains", "/api/v2/domains", "/"];
    for path in paths {
        let response = admin.request("GET", path).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 404, "{path}");
    }
}

#[tokio::test]
async fn the_status_listener_answers_and_knows_no_accounts() {
    let service = Service::start().await;
    let status = Client::new(&service.listen_status());
    for (path, expected) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/api/v1/accounts", 404)] {
        let response = status.request("GET", path).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), expected, "{path}");
    }
}
