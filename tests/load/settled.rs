//! After everything: what was acknowledged has arrived everywhere.

use gatepost_harness::api::Api;
use gatepost_harness::site::Site;
use gatepost_harness::wait_until;
use serde_json::Value;

use crate::books::{Books, name};

/// No receipt is open, and the counters that others read are those of the store.
pub(crate) fn assert_settled(site: &Site, books: &Books, when: &str) {
    let admin = Api::admin(&site.gatepost);
    for receipt in books.receipts() {
        let path = format!("/receipts/{receipt}");
        loop {
            let mark = site.gatepost.process().mark();
            if admin.must("GET", &path, &Value::Null)["complete"] == true {
                break;
            }
            site.gatepost.process().wait_for_log("change delivered everywhere", mark);
        }
    }
    for account in 0..books.accounts() {
        let user = name(account);
        let path = format!("/accounts/{user}/generation");
        // A change that nobody heard of may have no receipt here, but a counter it has.
        wait_until(&format!("{when}: the counter of {user} arrives"), || {
            let generation = &admin.must("GET", &path, &Value::Null)["generation"];
            site.counter(&user).parse().ok() == Some(generation.as_u64().expect("a number"))
        });
    }
}
