//! What a dict client says: one letter, then arguments between TABs.

use nom::{Parser, combinator::all_consuming};

use super::{
    super::{
        CommandName, ProtocolError,
        error::bad,
        escape::{fields, number, text, unescape},
    },
    Change, Iterate,
};

/// A line after the hello.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Lookup {
        key: String,
        user: String,
    },
    /// Its serial number is not yet given.
    Iterate(Iterate),
    Begin {
        transaction: u32,
        user: String,
        expire: u32,
    },
    Change {
        transaction: u32,
        change: Change,
    },
    /// A time for the changes, or whether to hide their values in logs: nothing to us.
    Remark {
        transaction: u32,
    },
    Commit {
        transaction: u32,
    },
    RollBack {
        transaction: u32,
    },
}

/// `H<major>⇥<minor>⇥<value type>⇥<user>⇥<dict name>`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) name: String,
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl Hello {
    pub(super) fn parse(line: &[u8]) -> Result<Self, ProtocolError> {
        let Some((b'H', arguments)) = line.split_first() else {
            return Err(ProtocolError::NoHello(letter(line)));
        };
        let mut arguments = fields(arguments);
        let mut next = || arguments.next().and_then(number);
        let (Some(major), Some(minor), Some(_value_type)) = (next(), next(), next()) else {
            return Err(bad("H", "three numbers must follow"));
        };
        // The user is given with each command.
        let name = arguments.nth(1).ok_or_else(|| bad("H", "the dict's name is missing"))?;
        match major {
            3 | 4 => Ok(Self { name: text(name), major, minor }),
            _ => Err(ProtocolError::Major(major)),
        }
    }
}

impl Command {
    pub(super) fn parse(line: &[u8]) -> Result<Self, ProtocolError> {
        let (&command, arguments) = line.split_first().unwrap_or((&0, line));
        let mut arguments = fields(arguments);
        match command {
            b'L' => {
                let key = key("L", &mut arguments)?;
                Ok(Self::Lookup { key, user: arguments.next().map(text).unwrap_or_default() })
            }
            b'I' => iterate(arguments).map(Self::Iterate),
            b'B' => {
                let transaction = transaction("B", &mut arguments)?;
                let user = arguments.next().map(text).unwrap_or_default();
                let expire = arguments.next().map_or(Some(0), number);
                let expire = expire.ok_or_else(|| bad("B", "the expiry is no number"))?;
                Ok(Self::Begin { transaction, user, expire })
            }
            b'S' => {
                let transaction = transaction("S", &mut arguments)?;
                let key = key("S", &mut arguments)?;
                let value = arguments.next().ok_or_else(|| bad("S", "the value is missing"))?;
                let value = unescape(value).into_owned();
                Ok(Self::Change { transaction, change: Change::Set { key, value } })
            }
            b'U' => {
                let transaction = transaction("U", &mut arguments)?;
                let key = key("U", &mut arguments)?;
                Ok(Self::Change { transaction, change: Change::Unset { key } })
            }
            b'A' => {
                let transaction = transaction("A", &mut arguments)?;
                let key = key("A", &mut arguments)?;
                let difference = arguments.next().and_then(signed);
                let difference = difference.ok_or_else(|| bad("A", "the difference is no number"))?;
                Ok(Self::Change { transaction, change: Change::Add { key, difference } })
            }
            b'T' => transaction("T", &mut arguments).map(|transaction| Self::Remark { transaction }),
            b'V' => transaction("V", &mut arguments).map(|transaction| Self::Remark { transaction }),
            b'C' => transaction("C", &mut arguments).map(|transaction| Self::Commit { transaction }),
            b'D' => transaction("D", &mut arguments).map(|transaction| Self::Commit { transaction }),
            b'R' => transaction("R", &mut arguments).map(|transaction| Self::RollBack { transaction }),
            _ => Err(ProtocolError::UnknownCommand(letter(line))),
        }
    }
}

/// `<flags>⇥<max rows>⇥<path>⇥<user>`
fn iterate<'a>(mut arguments: impl Iterator<Item = &'a [u8]>) -> Result<Iterate, ProtocolError> {
    let mut next = || arguments.next().and_then(number);
    let (Some(flags), Some(max_rows)) = (next(), next()) else {
        return Err(bad("I", "two numbers must follow"));
    };
    let path = key("I", &mut arguments)?;
    let flag = |bit: u32| flags & bit != 0;
    Ok(Iterate {
        serial: 0,
        path,
        user: arguments.next().map(text).unwrap_or_default(),
        max_rows: max_rows.into(),
        recurse: flag(1),
        sort_by_key: flag(2),
        sort_by_value: flag(4),
        no_value: flag(8),
        exact: flag(16),
    })
}

fn transaction<'a>(
    command: &'static str,
    arguments: &mut impl Iterator<Item = &'a [u8]>,
) -> Result<u32, ProtocolError> {
    arguments.next().and_then(number).ok_or_else(|| bad(command, "a transaction's number must follow"))
}

fn key<'a>(command: &'static str, arguments: &mut impl Iterator<Item = &'a [u8]>) -> Result<String, ProtocolError> {
    arguments.next().map(text).ok_or_else(|| bad(command, "the key is missing"))
}

fn signed(field: &[u8]) -> Option<i64> {
    let parsed: nom::IResult<&[u8], i64> = all_consuming(nom::character::complete::i64).parse(field);
    parsed.ok().map(|(_, number)| number)
}

fn letter(line: &[u8]) -> CommandName {
    CommandName::of(line.get(..1).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_names_a_dict() {
        let hello = |name: &str, major, minor| Ok(Hello { name: name.to_owned(), major, minor });
        let cases = [
            ("H3\t2\t0\t\tauth", hello("auth", 3, 2)),
            ("H4\t0\t0\t\ta:b", hello("a:b", 4, 0)),
            ("H3\t2\t1\tann\t", hello("", 3, 2)),
            ("H2\t0\t0\t\tauth", Err(ProtocolError::Major(2))),
            ("H5\t0\t0\t\tauth", Err(ProtocolError::Major(5))),
            ("H3\t2\t0\t", Err(bad("H", "the dict's name is missing"))),
            ("H3\t2", Err(bad("H", "three numbers must follow"))),
            ("Lpriv/x\tann", Err(ProtocolError::NoHello(CommandName::of(b"L")))),
            ("", Err(ProtocolError::NoHello(CommandName::of(b"")))),
        ];
        for (line, expected) in cases {
            assert_eq!(Hello::parse(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn commands_and_their_arguments() {
        let text = str::to_owned;
        let change = |change| Ok(Command::Change { transaction: 1, change });
        let listed = |path: &str, user: &str| Iterate {
            serial: 0,
            path: text(path),
            user: text(user),
            max_rows: 0,
            recurse: false,
            exact: false,
            no_value: false,
            sort_by_key: false,
            sort_by_value: false,
        };
        let (key, user) = (text("priv/x"), text("ann"));
        let difference = -5;
        let cases = [
            ("Lpriv/x\tann", Ok(Command::Lookup { key: key.clone(), user: user.clone() })),
            ("Lpriv/x", Ok(Command::Lookup { key: key.clone(), user: String::new() })),
            ("I0\t0\tshared/userdb/\t*", Ok(Command::Iterate(listed("shared/userdb/", "*")))),
            (
                "I63\t7\tpriv/\tann",
                Ok(Command::Iterate(Iterate {
                    max_rows: 7,
                    recurse: true,
                    exact: true,
                    no_value: true,
                    sort_by_key: true,
                    sort_by_value: true,
                    ..listed("priv/", "ann")
                })),
            ),
            ("B1\tann", Ok(Command::Begin { transaction: 1, user: user.clone(), expire: 0 })),
            ("B1\tann\t60", Ok(Command::Begin { transaction: 1, user, expire: 60 })),
            ("B1\t", Ok(Command::Begin { transaction: 1, user: String::new(), expire: 0 })),
            ("S1\tpriv/x\ta\x01tb", change(Change::Set { key: key.clone(), value: b"a\tb".to_vec() })),
            ("S1\tpriv/x\t", change(Change::Set { key: key.clone(), value: Vec::new() })),
            ("U1\tpriv/x", change(Change::Unset { key: key.clone() })),
            ("A1\tpriv/x\t-5", change(Change::Add { key, difference })),
            ("T1\t1795508404\t5", Ok(Command::Remark { transaction: 1 })),
            ("V1\tyes", Ok(Command::Remark { transaction: 1 })),
            ("C1", Ok(Command::Commit { transaction: 1 })),
            ("D1", Ok(Command::Commit { transaction: 1 })),
            ("R1", Ok(Command::RollBack { transaction: 1 })),
            ("L", Err(bad("L", "the key is missing"))),
            ("I0", Err(bad("I", "two numbers must follow"))),
            ("I0\t0", Err(bad("I", "the key is missing"))),
            ("Bx\tann", Err(bad("B", "a transaction's number must follow"))),
            ("B1\tann\tsoon", Err(bad("B", "the expiry is no number"))),
            ("S1\tpriv/x", Err(bad("S", "the value is missing"))),
            ("A1\tpriv/x\tmany", Err(bad("A", "the difference is no number"))),
            ("C", Err(bad("C", "a transaction's number must follow"))),
            ("Zjunk", Err(ProtocolError::UnknownCommand(CommandName::of(b"Z")))),
            ("", Err(ProtocolError::UnknownCommand(CommandName::of(b"")))),
        ];
        for (line, expected) in cases {
            assert_eq!(Command::parse(line.as_bytes()), expected, "{line:?}");
        }
    }
}
