//! Output: plain aligned tables, or JSON, on standard output.
//!
//! Trusts: nobody's text: what is printed for people has its control characters escaped, since a client may have chosen
//!         it and a terminal would obey it.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;

use super::Failure;

/// Rows under their headings, in columns two spaces apart.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
    print(&layout(headings, rows))
}

/// The answer as the API gave it.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Unavailable(format!("cannot write JSON: {error}")))?;
    print(&(text + "\n"))
}

/// One line for people.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    print(&(printable(text) + "\n"))
}

/// One line on standard error, beside what is asked for. Where that is closed, nobody wants it.
pub(super) fn note(text: &str) {
    drop(writeln!(std::io::stderr(), "{}", printable(text)));
}

/// A size as people write it; what is not a whole number of a unit stays in bytes.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let whole = |(shift, _): &&(u32, &str)| bytes != 0 && bytes.trailing_zeros() >= *shift;
    UNITS.iter().find(whole).map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

fn layout<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(headings.map(str::to_owned))
        .chain(rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// A reader that has gone away (`gatepost account list | head`) wants no more, which is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Unavailable(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_where_their_text_does() {
        let rows = [["ann@example.org".to_owned(), "Änn".to_owned()], ["bo@example.org".to_owned(), String::new()]];
        assert_eq!(layout(["USER", "NAME"], &rows), "USER             NAME\nann@example.org  Änn\nbo@example.org\n");
    }

    #[test]
    fn a_terminal_is_never_told_what_to_do() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}c\n"), "a\\u{1b}[2Jb\\u{9b}c\\n");
    }

    #[test]
    fn sizes_are_read_as_they_were_written() {
        for (bytes, text) in [(0, "0"), (1, "1"), (1024, "1K"), (5 << 30, "5G"), ((5 << 30) + 1, "5368709121")] {
            assert_eq!(size(bytes), text);
        }
    }
}
