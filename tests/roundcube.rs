//! A new password, set in Debian's real Roundcube by a person with a browser, with each driver of its password plugin.

use gatepost_harness::chromium::Chromium;
use gatepost_harness::client::{Door, Heard, Protocol, deliver};
use gatepost_harness::dovecot::Version;
use gatepost_harness::mailhost::ALICE;
use gatepost_harness::process::LogMark;
use gatepost_harness::roundcube::{Driver, Plugin, Roundcube};
use gatepost_harness::session::Session;
use gatepost_harness::site::Site;
use gatepost_harness::wait_until;

const NEW: &str = r#"Grüße "an" a1"#;
const SUBJECT: &str = "Still here";
const SESSION_ENDED: &str = "Your session is invalid or expired.";

#[test]
fn password_is_changed_by_httpapi() {
    let site = Site::start(Version::V2_3, &[ALICE], "");
    let driver = Driver::HttpApi(site.gatepost.http);
    let roundcube = change_it(&site, driver, &[("1 thing is missed", "")]);
    roundcube.process().wait_for_log("add an upper-case letter", LogMark::default());
}

#[test]
fn password_is_changed_by_poppassd() {
    let site = Site::start(Version::V2_4, &[ALICE], "");
    let driver = Driver::Poppassd(site.gatepost.poppassd);
    let refused = [
        ("all-lower", " Choose another password: add an upper-case letter; add a digit."),
        (
            "Short",
            " Choose another password: use at least 8 characters; add a digit; add a special character, such as - or !.",
        ),
    ];
    change_it(&site, driver, &refused);
}

#[test]
fn web_session_ends_when_the_password_is_changed_elsewhere() {
    let site = Site::start(Version::V2_3, &[ALICE], "");
    deliver_a_mail(&site);
    let gatepost = &site.gatepost;
    let token = gatepost.must(&["token", "add", "roundcube", "--role", "webmail"], "");
    let plugin = Plugin { gatepost: gatepost.http, token: token.lines().next().unwrap_or_default() };
    let driver = Driver::Poppassd(gatepost.poppassd);
    let roundcube = Roundcube::start(site.directory.path(), &site.dovecot, driver, Some(plugin));
    let [here, elsewhere] = ["here", "elsewhere"].map(|name| Chromium::start(&site.directory.path().join(name)));
    for browser in [&here, &elsewhere] {
        roundcube.log_in(browser, ALICE.user, ALICE.password);
        assert_eq!(roundcube.read_mail(browser, SUBJECT), "Some words.");
    }

    // By a user in another browser: that one stays logged in.
    assert_eq!(roundcube.change_password(&elsewhere, ALICE.password, NEW), "Successfully saved.");
    assert_eq!(roundcube.read_mail(&elsewhere, SUBJECT), "Some words.");
    here.click("#taskmenu a.mail");
    assert_eq!(roundcube.message(&here), SESSION_ENDED);

    // By an admin.
    roundcube.log_in(&here, ALICE.user, NEW);
    assert_eq!(roundcube.read_mail(&here, SUBJECT), "Some words.");
    site.gatepost.must(&["logout", ALICE.user], "");
    for browser in [&here, &elsewhere] {
        browser.click("#taskmenu a.mail");
        assert_eq!(roundcube.message(browser), SESSION_ENDED);
    }
    roundcube.log_in(&here, ALICE.user, NEW);
    assert_eq!(roundcube.read_mail(&here, SUBJECT), "Some words.");
}

/// What a person goes through; `refused` are passwords that miss the policy, each with why, as far as the page says.
fn change_it(site: &Site, driver: Driver, refused: &[(&str, &str)]) -> Roundcube {
    let directory = site.directory.path();
    deliver_a_mail(site);
    let roundcube = Roundcube::start(directory, &site.dovecot, driver, None);
    let browser = Chromium::start(directory);

    roundcube.log_in(&browser, ALICE.user, ALICE.password);
    assert_eq!(roundcube.read_mail(&browser, SUBJECT), "Some words.");

    for (password, why) in refused {
        let message = roundcube.change_password(&browser, ALICE.password, password);
        assert_eq!(message, format!("Could not save new password.{why}"));
    }
    let message = roundcube.change_password(&browser, "Wrong-w9", NEW);
    assert_eq!(message, "Current password incorrect.");
    assert_eq!(log_in(site, ALICE.password), Heard::Welcome);

    let mail_program = Session::open(Protocol::Imap, &site.dovecot, ALICE.user, ALICE.password);
    let counter = site.counter(ALICE.user);
    let message = roundcube.change_password(&browser, ALICE.password, NEW);
    assert_eq!(message, "Successfully saved.");
    assert_eq!(mail_program.last_words(), "* BYE Server shutting down.");
    wait_until("others hear of the change", || site.counter(ALICE.user) != counter);
    assert_eq!(log_in(site, NEW), Heard::Welcome);
    assert_eq!(log_in(site, ALICE.password), Heard::No(Door::ImapLogin.refusal().to_owned()));
    // With the password that its session holds now.
    assert_eq!(roundcube.read_mail(&browser, SUBJECT), "Some words.");

    roundcube.log_out(&browser);
    roundcube.log_in(&browser, ALICE.user, ALICE.password);
    assert_eq!(roundcube.message(&browser), "Login failed.");
    roundcube.log_in(&browser, ALICE.user, NEW);
    assert_eq!(roundcube.read_mail(&browser, SUBJECT), "Some words.");
    roundcube
}

fn deliver_a_mail(site: &Site) {
    let message = format!("Subject: {SUBJECT}\r\n\r\nSome words.");
    let delivered = deliver(site.dovecot.addresses.lmtp, &[ALICE.user], &message);
    assert!(delivered.iter().all(|line| line.starts_with("250 ")), "{delivered:?}");
}

fn log_in(site: &Site, password: &str) -> Heard {
    Door::ImapLogin.log_in(&site.dovecot, ALICE.user, password)
}
