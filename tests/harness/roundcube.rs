//! A real Roundcube 1.6, Debian's, with its password plugin, served by PHP from a directory of its own.
//!
//! The plugin is set up by the very samples that `config/roundcube/` offers; what this file adds is where things are.
//!
//! Trusts: that `tests/run` unpacked Roundcube. It is not installed, since it brings a web server and a database.
//! Limits: one request at a time; no TLS, loopback only; mail can be read and not sent.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::chromium::Chromium;
use crate::dovecot::Dovecot;
use crate::process::{LogMark, Process};
use crate::{User, cache, directory_of, free_addresses};

/// How its password plugin reaches gatepost.
#[derive(Clone, Copy, Debug)]
pub enum Driver {
    HttpApi(SocketAddr),
    Poppassd(SocketAddr),
}

/// Our plugin, which ends sessions that gatepost has voided.
#[derive(Clone, Copy, Debug)]
pub struct Plugin<'a> {
    pub gatepost: SocketAddr,
    pub token: &'a str,
}

#[derive(Debug)]
pub struct Roundcube {
    pub http: SocketAddr,
    process: Process,
}

impl Roundcube {
    /// Writes its configuration below `directory` and starts it; its mail is `dovecot`'s.
    pub fn start(directory: &Path, dovecot: &Dovecot, driver: Driver, plugin: Option<Plugin<'_>>) -> Self {
        let home = directory.join("roundcube");
        let write = |file, text| fs::write(home.join(file), text).expect("cannot write Roundcube's configuration");
        lay_out(&home);
        let mut settings = settings(&home, dovecot);
        write("plugins/password/config.inc.php", driver.sample());
        if let Some(plugin) = plugin {
            write("plugins/gatepost/gatepost.php", sample("plugins/gatepost/gatepost.php"));
            write("plugins/gatepost/config.inc.php", plugin.sample());
            settings.push_str("$config['plugins'][] = 'gatepost';\n");
        }
        write("config/config.inc.php", settings);
        link_each(&unpacked().join("usr/share/roundcube/plugins/password"), &home.join("plugins/password"));
        let [http] = free_addresses();
        let process = Process::start("roundcube", server(&home, http));
        process.wait_for_log("Development Server", LogMark::default());
        Self { http, process }
    }

    pub fn process(&self) -> &Process {
        &self.process
    }
}

impl Driver {
    /// The sample of this driver, with where gatepost is in place of where it is by default.
    fn sample(self) -> String {
        match self {
            Self::HttpApi(address) => {
                sample("password-httpapi.inc.php").replace("127.0.0.1:8106", &address.to_string())
            }
            Self::Poppassd(address) => {
                sample("password-poppassd.inc.php").replace("= 106;", &format!("= {};", address.port()))
            }
        }
    }
}

impl Plugin<'_> {
    fn sample(self) -> String {
        let sample =
            sample("plugins/gatepost/config.inc.php.dist").replace("127.0.0.1:8106", &self.gatepost.to_string());
        sample.replace("['gatepost_token'] = ''", &format!("['gatepost_token'] = '{}'", self.token))
    }
}

/// What a person does there.
impl Roundcube {
    /// Opens the login page and logs in; whether that is let in shows in what comes next.
    pub fn log_in(&self, browser: &Chromium, user: &str, password: &str) {
        browser.open(&format!("http://{}/", self.http));
        browser.fill("#rcmloginuser", user);
        browser.fill("#rcmloginpwd", password);
        browser.click("#rcmloginsubmit");
    }

    pub fn log_out(&self, browser: &Chromium) {
        browser.click("#taskmenu a.logout");
        browser.text("#login-form #rcmloginsubmit");
    }

    /// Opens the mail with that subject from the list, and gives its text.
    pub fn read_mail(&self, browser: &Chromium, subject: &str) -> String {
        browser.click("#taskmenu a.mail");
        browser.wait_for("#messagelist td.subject a", |text| text == subject);
        browser.open(&browser.property("#messagelist td.subject a", "href"));
        browser.text("#messagebody")
    }

    /// Fills in the form for a new password, and gives what it was answered.
    pub fn change_password(&self, browser: &Chromium, current: &str, new: &str) -> String {
        browser.click("#taskmenu a.settings");
        browser.click("#settings-menu .password a");
        browser.fill("#curpasswd", current);
        browser.fill("#newpasswd", new);
        browser.fill("#confpasswd", new);
        browser.click(".formbuttons .submit");
        self.message(browser)
    }

    /// What the page says in its corner, but for that it is loading.
    pub fn message(&self, browser: &Chromium) -> String {
        browser.text("#messagestack > div:not(.loading)")
    }
}

/// The directories of an installed one, its programs being where `tests/run` unpacked them.
fn lay_out(home: &Path) {
    let unpacked = unpacked();
    let programs = unpacked.join("usr/share/roundcube");
    let owner = User::named("www-data");
    for directory in ["", "config", "plugins/password", "plugins/gatepost", "public_html/program"] {
        directory_of(&home.join(directory), User::ROOT, 0o755);
    }
    for directory in ["data", "logs", "temp"] {
        directory_of(&home.join(directory), owner, 0o700);
    }
    let link = |from: PathBuf, to: &str| symlink(&from, home.join(to)).expect("cannot link a part of Roundcube");
    for name in ["index.php", "program", "skins", "SQL"] {
        link(programs.join(name), name);
    }
    for name in ["skins", "plugins", "program/js", "program/resources"] {
        link(home.join(name), &format!("public_html/{name}"));
    }
    for name in ["defaults.inc.php", "mimetypes.php"] {
        link(unpacked.join("etc/roundcube").join(name), &format!("config/{name}"));
    }
    link_each(&programs.join("plugins"), &home.join("plugins"));
}

/// Links what is in one directory into another, but for what that has of its own.
fn link_each(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("cannot read {}: {error}", from.display())) {
        let entry = entry.expect("cannot read a directory of Roundcube's");
        let link = to.join(entry.file_name());
        if !link.exists() {
            symlink(entry.path(), &link).expect("cannot link a part of Roundcube");
        }
    }
}

fn settings(home: &Path, dovecot: &Dovecot) -> String {
    format!(
        "<?php\n\
         $config['db_dsnw'] = 'sqlite:///{home}/data/roundcube.db?mode=0600';\n\
         $config['imap_host'] = '{imap}';\n\
         $config['smtp_host'] = '{submission}';\n\
         $config['log_driver'] = 'stdout';\n\
         $config['language'] = 'en_US';\n\
         $config['des_key'] = 'TwentyFourCharactersLong';\n\
         $config['plugins'] = ['password'];\n",
        home = home.display(),
        imap = dovecot.addresses.imap,
        submission = dovecot.addresses.submission,
    )
}

/// PHP's own web server: files of `public_html/` as they are, and Roundcube for everything else.
fn server(home: &Path, http: SocketAddr) -> Command {
    let router = home.join("router.php");
    let text = format!(
        "<?php\n\
         if (preg_match('!^/(skins|plugins|program)/!', $_SERVER['REQUEST_URI'])) {{ return false; }}\n\
         define('INSTALL_PATH', '{home}/');\n\
         chdir(INSTALL_PATH);\n\
         require INSTALL_PATH . 'index.php';\n",
        home = home.display()
    );
    fs::write(&router, text).expect("cannot write the router");
    let User { uid, gid } = User::named("www-data");
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={uid}"), format!("--regid={gid}")]).args(["--clear-groups", "php", "-S"]);
    command.arg(http.to_string()).arg("-t").arg(home.join("public_html")).arg(router);
    command
}

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/roundcube").join(name);
    fs::read_to_string(path).expect("cannot read the sample")
}

fn unpacked() -> PathBuf {
    let root = cache().join("roundcube");
    assert!(root.join(".complete").exists(), "no Roundcube at {}; tests/run unpacks it", root.display());
    root
}
