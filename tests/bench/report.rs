//! The tables, in Markdown: medians of the rounds, and in brackets the lowest and the highest.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::footprint::{self, Memory, Start};
use crate::measure::{Cell, Row};
use crate::server::Kind;
use crate::{Arguments, Outcome};

pub(crate) fn heading(arguments: &Arguments, cores: &str) -> Outcome<String> {
    let dovecot = Command::new("dovecot").arg("--version").output()?;
    let information = fs::read_to_string("/proc/cpuinfo")?;
    let model = information.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    Ok(format!(
        "gatepost {}, Dovecot {}, and a floor that says yes to everybody; {} accounts; {} rounds of {} s in turns.\n\
         Cores {cores} of {}, shared by the server and the one who asks. Load average at the start: {}.\n\n\
         {{PLAIN-TRUNC}} is compared without a hash. At a first login gatepost also makes the new {{ARGON2ID}} hash. Wrong \
         passwords are refused without delay, which neither does unless it is told to.\n\n",
        env!("CARGO_PKG_VERSION"),
        String::from_utf8(dovecot.stdout)?.trim(),
        arguments.accounts,
        arguments.rounds,
        arguments.seconds,
        model.trim_start_matches([' ', '\t', ':']),
        fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default(),
    ))
}

pub(crate) fn logins(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    rates(rows) + &costs(rows)
}

fn rates(rows: &[Row]) -> String {
    let mut text = String::from(
        "| answers a second, connections × in flight | gatepost | Dovecot | floor | ÷ Dovecot | ÷ floor | \"not now\" |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let [gatepost, dovecot, floor] = Kind::ALL.map(|kind| cells(row, kind));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            rate(gatepost),
            rate(dovecot),
            rate(floor),
            ratio(gatepost, dovecot),
            ratio(gatepost, floor),
            whole(middle(gatepost.iter().map(|cell| cell.not_now_per_second))),
        );
    }
    text.push('\n');
    text
}

fn costs(rows: &[Row]) -> String {
    let mut text = String::from(
        "| one answer: half of them, 99 % of them within; processor time | gatepost | Dovecot | floor |\n|---|---|---|---|\n",
    );
    for row in rows {
        let [gatepost, dovecot, floor] = Kind::ALL.map(|kind| cost(cells(row, kind)));
        let _ = writeln!(text, "| {} | {gatepost} | {dovecot} | {floor} |", row.name);
    }
    text.push('\n');
    text
}

pub(crate) fn memory(servers: &[Memory]) -> String {
    let idle = footprint::CONNECTIONS;
    let mut text = format!(
        "| resident memory | after one login | with {idle} idle connections | each connection |\n|---|---|---|---|\n"
    );
    for Memory { kind, alone_kib, connected_kib } in servers {
        let each = connected_kib.saturating_sub(*alone_kib) as f64 / idle as f64;
        let _ =
            writeln!(text, "| {kind} | {} | {} | {each:.1} KiB |", mebibytes(*alone_kib), mebibytes(*connected_kib));
    }
    text.push('\n');
    text
}

pub(crate) fn start(starts: &[Start]) -> String {
    let mut text = String::from("| accounts | server | start to first answer | resident then |\n|---|---|---|---|\n");
    for Start { kind, accounts, times, resident_kib } in starts {
        let times = || times.iter().map(|time| milliseconds(*time));
        let _ = writeln!(
            text,
            "| {} | {kind} | {:.0} ms{} | {} |",
            whole(*accounts as f64),
            middle(times()),
            spread(times()),
            mebibytes(*resident_kib),
        );
    }
    text.push('\n');
    text
}

fn cells(row: &Row, kind: Kind) -> &[Cell] {
    row.servers.iter().find(|(server, _)| *server == kind).map_or(&[], |(_, cells)| cells)
}

fn rate(cells: &[Cell]) -> String {
    let rates = || cells.iter().map(|cell| cell.verdicts_per_second);
    whole(middle(rates())) + &spread(rates())
}

/// Round by round, for what disturbed one of them disturbed the other as well.
fn ratio(these: &[Cell], those: &[Cell]) -> String {
    let ratios = these.iter().zip(those).map(|(this, that)| this.verdicts_per_second / that.verdicts_per_second);
    format!("{:.2}", middle(ratios))
}

fn cost(cells: &[Cell]) -> String {
    let [median, tail, processor] =
        [|cell: &Cell| cell.median, |cell: &Cell| cell.tail, |cell: &Cell| cell.processor_time]
            .map(|of| middle(cells.iter().map(|cell| milliseconds(of(cell)))));
    format!("{median:.2}, {tail:.2} ms; {:.1} µs", processor * 1_000.0)
}

/// The median; of an even number, the mean of the two in the middle; of none, not a number.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.get(half), half.checked_sub(1).and_then(|before| values.get(before))) {
        (Some(upper), Some(lower)) if values.len().is_multiple_of(2) => f64::midpoint(*upper, *lower),
        (Some(only), _) => *only,
        (None, _) => f64::NAN,
    }
}

fn spread(values: impl Iterator<Item = f64>) -> String {
    let (lowest, highest) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    format!(" ({}–{})", whole(lowest), whole(highest))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn mebibytes(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1_024.0)
}

/// With a comma at each thousand.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
