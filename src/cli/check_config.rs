//! `gatepost check-config`: whether a configuration can be used, and if not, everything that is wrong with it.
//!
//! Limits: says what a daemon would read, as whoever runs the command; whether sockets and store can be opened shows
//!         when it starts.

use std::path::Path;

use super::{Failure, output};
use crate::config::{Config, SYSTEM_FILE};

pub(super) fn run(file: Option<&Path>) -> Result<(), Failure> {
    output::line(&check(file)?)
}

fn check(file: Option<&Path>) -> Result<String, Failure> {
    let system = Path::new(SYSTEM_FILE);
    let read = file.or_else(|| system.exists().then_some(system));
    Config::load(file).map_err(|error| Failure::Usage(format!("this configuration cannot be used:\n{error}")))?;
    Ok(match read {
        Some(file) => format!("{}: ok", file.display()),
        None => format!("the built-in default, since there is no {SYSTEM_FILE}: ok"),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_good_file_is_named_as_ok() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("gatepost.toml");
        fs::write(&file, "default_domain = 'example.org'\n").expect("written");
        assert_eq!(check(Some(&file)).expect("good"), format!("{}: ok", file.display()));
    }

    #[test]
    fn every_problem_of_a_bad_file_has_a_line_of_its_own() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("gatepost.toml");
        fs::write(&file, "[dict]\nkey = 0\n[throttle]\nfailures = 0\n").expect("written");
        let Err(Failure::Usage(text)) = check(Some(&file)) else { panic!("a usage failure") };
        let name = file.display();
        let expected = [
            "this configuration cannot be used:".to_owned(),
            format!("{name}:4: throttle.failures: must be at least 1"),
            format!("{name}:2: dict.key: must be at least 1"),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_file_that_is_not_there_is_a_mistake_and_not_the_default() {
        let Err(Failure::Usage(text)) = check(Some(Path::new("/nonexistent/gatepost.toml"))) else {
            panic!("a usage failure")
        };
        assert!(text.contains("cannot read the configuration /nonexistent/gatepost.toml"), "{text}");
    }
}
