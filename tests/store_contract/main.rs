//! What every store promises, as one list, kept by each database that gatepost knows.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod accounts;
mod clients;
mod delivery;
mod dict;
mod log;
mod model;
mod passwords;
mod sample;
mod tokens;

use std::time::Duration;

use gatepost::store::sqlite::{SqliteOptions, SqliteStore};

/// Runs each promise as a test of its own, on a new and empty store.
macro_rules! keeps {
    ($database:ident, $open:path, $($module:ident::$promise:ident),+ $(,)?) => {
        mod $database {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let opened = $open().await;
                    crate::$module::$promise(&opened.store).await;
                }
            )+
        }
    };
}

/// A store in a directory that goes away with it.
struct Opened {
    store: SqliteStore,
    _directory: tempfile::TempDir,
}

async fn open_sqlite() -> Opened {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("gatepost.sqlite");
    // That a busy machine is slow is no broken promise.
    let options = SqliteOptions { patience: Duration::from_secs(10), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, &options).await.expect("a new store");
    Opened { store, _directory: directory }
}

keeps!(
    sqlite,
    crate::open_sqlite,
    accounts::an_account_is_read_as_it_was_added,
    accounts::each_change_changes_what_it_names_and_nothing_else,
    accounts::only_rights_raise_the_generation,
    accounts::a_commit_of_several_changes_is_all_or_nothing,
    accounts::an_address_made_again_starts_higher,
    accounts::conflicts_are_told_apart,
    passwords::of_two_changes_with_one_expectation_one_wins,
    passwords::an_upgraded_hash_is_dropped_after_a_change,
    passwords::hash_and_generation_are_of_one_moment,
    passwords::the_password_before_is_known_by_its_fingerprint,
    passwords::a_fingerprint_is_remembered_only_at_its_generation,
    passwords::an_upgraded_hash_keeps_or_brings_the_fingerprint,
    log::the_log_says_who_did_what_through_which_door,
    log::an_audit_finds_what_its_filter_names,
    log::an_audit_is_read_page_by_page,
    log::numbers_move_past_what_others_remember_and_never_back,
    accounts::accounts_are_listed_page_by_page,
    accounts::the_newest_logins_are_kept,
    accounts::a_cancelled_commit_leaves_the_store_usable,
    clients::the_logins_of_one_client_are_one_row,
    clients::a_session_that_is_reported_again_is_no_further_login,
    clients::of_too_many_clients_those_go_that_were_not_seen_for_longest,
    clients::a_forgotten_client_is_gone_and_its_number_with_it,
    clients::a_removed_account_takes_its_clients_along,
    delivery::a_row_that_raises_is_open_until_all_of_it_has_arrived,
    delivery::what_raised_nothing_has_no_delivery,
    delivery::what_is_undelivered_comes_in_order_and_page_by_page,
    delivery::the_removal_of_an_account_is_delivered_like_any_change,
    delivery::everyones_generation_moves_in_one_row,
    delivery::what_was_raised_since_comes_subject_by_subject,
    tokens::a_token_is_found_by_its_digest_alone,
    tokens::a_revoked_token_is_gone_and_its_name_free,
    tokens::tokens_come_and_go_by_rows_that_raise_nothing,
    model::a_store_holds_what_a_map_would,
    dict::each_dict_and_user_is_a_space_of_its_own,
    dict::a_dict_transaction_is_all_or_nothing,
    dict::no_increment_is_lost,
    dict::what_has_expired_is_gone,
    dict::a_scan_finds_what_begins_with_its_prefix,
    dict::a_scan_beyond_its_bounds_is_an_error_not_a_part,
    dict::a_dict_name_holds_so_many_keys,
    dict::a_removed_account_takes_its_keys_along,
);
