//! What is wrong with a configuration, and where: file, line, key, and what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {source}; check the path given with `--config` and its permissions", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{}", Listing(problems))]
    Wrong { problems: Vec<Problem> },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; absent where the whole file is meant.
    pub line: Option<usize>,
    /// Dotted, as one would write it: `listen.auth.mode`.
    pub key: String,
    pub text: String,
}

impl Problem {
    /// What the TOML parser or a value's own parser said.
    pub(super) fn from_toml(error: &toml::de::Error, file: &Path, document: &str) -> Self {
        let span = error.span();
        let key = span.clone().and_then(|span| key_at(document, &span)).unwrap_or_default();
        let line = span.map(|span| line_of(document, span.start));
        Self { file: file.to_owned(), line, key, text: error.message().replace('\n', "; ") }
    }

    /// A value that is well written and yet means nothing good. A key that is not in the file has its table's line.
    pub(super) fn at(key: &[String], text: String, file: &Path, document: &str) -> Self {
        Self { file: file.to_owned(), line: line_of_key(document, key), key: dotted(key), text }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(formatter, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(formatter, " {}:", self.key)?;
        }
        write!(formatter, " {}", self.text)
    }
}

struct Listing<'a>(&'a [Problem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

fn dotted(key: &[String]) -> String {
    key.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(".")
}

fn line_of(document: &str, offset: usize) -> usize {
    1 + document.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn line_of_key(document: &str, key: &[String]) -> Option<usize> {
    let root = DeTable::parse(document).ok()?;
    let mut table = root.get_ref();
    let mut start = None;
    for part in key {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else { break };
        start = Some(name.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    start.map(|offset| line_of(document, offset))
}

/// The key whose name or value lies at `span`.
fn key_at(document: &str, span: &Range<usize>) -> Option<String> {
    let root = DeTable::parse(document).ok()?;
    let mut path = Vec::new();
    find_key(root.get_ref(), span, &mut path).then(|| path.join("."))
}

fn find_key<'a>(table: &'a DeTable<'_>, wanted: &Range<usize>, path: &mut Vec<&'a str>) -> bool {
    let holds = |span: Range<usize>| span.start <= wanted.start && wanted.end <= span.end;
    table.iter().any(|(name, value)| {
        path.push(name.get_ref());
        let inside = match value.get_ref() {
            DeValue::Table(inner) => find_key(inner, wanted, path),
            _ => false,
        };
        let found = inside || holds(name.span()) || holds(value.span());
        if !found {
            path.pop();
        }
        found
    })
}
