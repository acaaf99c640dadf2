//! A real Chromium without a window, with a profile of its own, told by WebDriver what a person would do.
//!
//! Everything waits for what it names, as a person does. When the test fails, what was on the screen is kept below
//! `screenshots/` of the test cache, under the name of the test.
//!
//! Limits: one window; what a page does by itself after it was loaded is waited for only by naming what it shall show.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::confined::Confined;
use crate::{PATIENCE, User, cache, directory_of};

/// How long a page is left alone before it is looked at again.
const INTERVAL: Duration = Duration::from_millis(25);
/// What chromedriver says before the number of its port.
const STARTED: &str = "ChromeDriver was started successfully on port ";
/// The name that WebDriver gives to what refers to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

#[derive(Debug)]
pub struct Chromium {
    client: Client,
    /// The address below which this browser is told things.
    session: String,
    _driver: Confined,
}

/// Why WebDriver did not do what it was told.
type Refusal = String;

impl Chromium {
    /// Starts it with its profile below `directory`.
    pub fn start(directory: &Path) -> Self {
        let home = directory.join("chromium");
        directory_of(&home, User::ROOT, 0o700);
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("HOME", &home);
        let driver = Confined::start("chromedriver", &command, STARTED);
        let log = driver.process().log();
        let port = log.split_once(STARTED).and_then(|(_, rest)| rest.split('.').next());
        let sessions = format!("http://127.0.0.1:{}/session", port.expect("chromedriver names its port"));
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client can be made");
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": flags(&home)}}}});
        let started = exchange(client.post(&sessions).json(&wanted))
            .unwrap_or_else(|refusal| panic!("cannot start Chromium: {refusal}"));
        Self { client, session: format!("{sessions}/{}", text_of(&started["sessionId"])), _driver: driver }
    }

    pub fn open(&self, url: &str) {
        self.tell("/url", &json!({"url": url})).unwrap_or_else(|refusal| panic!("cannot open {url}: {refusal}"));
    }

    /// Writes `text` where `selector` (CSS) points, in place of what is there.
    pub fn fill(&self, selector: &str, text: &str) {
        self.do_to(selector, |element| {
            self.tell(&format!("{element}/clear"), &json!({}))?;
            self.tell(&format!("{element}/value"), &json!({"text": text}))
        });
    }

    pub fn click(&self, selector: &str) {
        self.do_to(selector, |element| self.tell(&format!("{element}/click"), &json!({})));
    }

    /// A property of the element, as a script of the page would read it.
    pub fn property(&self, selector: &str, name: &str) -> String {
        text_of(&self.do_to(selector, |element| self.ask(&format!("{element}/property/{name}"))))
    }

    /// What is written there, once something is.
    pub fn text(&self, selector: &str) -> String {
        self.wait_for(selector, |text| !text.is_empty())
    }

    /// Waits until what is written at one of the places that `selector` finds is `wanted`, and gives that.
    pub fn wait_for(&self, selector: &str, wanted: impl Fn(&str) -> bool) -> String {
        patiently(|| {
            let texts: Result<Vec<_>, _> =
                self.find(selector)?.iter().map(|element| self.ask(&format!("{element}/text"))).collect();
            let texts: Vec<_> = texts?.iter().map(text_of).collect();
            texts.iter().find(|text| wanted(text)).cloned().ok_or_else(|| format!("{texts:?}"))
        })
        .unwrap_or_else(|found| panic!("{selector} never held what was waited for; in the end: {found}"))
    }

    /// Does it once it can be done: an element may not be there yet, be covered, or go away with its page.
    fn do_to(&self, selector: &str, act: impl Fn(&str) -> Result<Value, Refusal>) -> Value {
        patiently(|| act(self.find(selector)?.first().ok_or("it is not on the page")?))
            .unwrap_or_else(|refusal| panic!("cannot use {selector}: {refusal}"))
    }

    /// The paths of the elements that `selector` finds.
    fn find(&self, selector: &str) -> Result<Vec<String>, Refusal> {
        let found = self.tell("/elements", &json!({"using": "css selector", "value": selector}))?;
        let path = |element: &Value| format!("/element/{}", text_of(&element[ELEMENT]));
        Ok(found.as_array().into_iter().flatten().map(path).collect())
    }

    fn tell(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        exchange(self.client.post(format!("{}{path}", self.session)).json(body))
    }

    fn ask(&self, path: &str) -> Result<Value, Refusal> {
        exchange(self.client.get(format!("{}{path}", self.session)))
    }

    /// Gives where the browser was, and the file that shows it.
    fn keep_screenshot(&self) -> Result<(String, PathBuf), Refusal> {
        let picture = STANDARD.decode(text_of(&self.ask("/screenshot")?)).map_err(|error| error.to_string())?;
        let test = thread::current().name().unwrap_or("test").replace("::", "-");
        let file = cache().join("screenshots").join(test).with_extension("png");
        fs::create_dir_all(file.with_file_name("")).map_err(|error| error.to_string())?;
        fs::write(&file, picture).map_err(|error| error.to_string())?;
        Ok((text_of(&self.ask("/url")?), file))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if thread::panicking() {
            match self.keep_screenshot() {
                Ok((address, file)) => eprintln!("--- the browser was at {address}: {} ---", file.display()),
                Err(refusal) => eprintln!("--- no picture of the browser: {refusal} ---"),
            }
        }
        // What does not end by itself is ended with the driver.
        let _ = exchange(self.client.delete(&self.session));
    }
}

/// Nothing is fetched but what the test asks for.
fn flags(home: &Path) -> Vec<String> {
    let mut flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
    ]
    .map(str::to_owned)
    .to_vec();
    flags.push(format!("--user-data-dir={}", home.display()));
    flags
}

/// Tries until it succeeds, or gives why it did not in the end.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(_) if Instant::now() < deadline => thread::sleep(INTERVAL),
            outcome => return outcome,
        }
    }
}

/// Sends one command of WebDriver.
fn exchange(command: RequestBuilder) -> Result<Value, Refusal> {
    let mut answer: Value = command.send().and_then(Response::json).map_err(|error| error.to_string())?;
    match answer["value"].take() {
        refusal if refusal["error"].is_string() => Err(text_of(&refusal["message"])),
        value => Ok(value),
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
