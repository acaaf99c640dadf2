//! Escapes, base64, SASL messages, cookies and masks: decode, encode, decode again, and the same comes out. And what
//! doveadm answers over HTTP, which is read only.

#![no_main]

use gatepost_protocol::{
    Secret,
    dovecot::{
        Cookie,
        doveadm::{self, Answer, Command},
        escape::{escape, needs_escaping, unescape},
        mask::Mask,
    },
    sasl::{self, Exchange, Mechanism, Step},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let plain = unescape(data);
    assert_eq!(unescape(&escape(&plain)), plain);
    assert_eq!(*unescape(&escape(data)), *data);
    assert_eq!(needs_escaping(data), *escape(data) != *data);
    assert!(Cookie::from_hex(data).is_none() || data.len() == 32);

    if let Some(decoded) = sasl::decode(data) {
        let text = std::str::from_utf8(decoded.expose());
        assert!(text.is_err() || text.is_ok_and(|text| sasl::encode(text).as_bytes() == data));
    }
    let parts = data.iter().filter(|&&byte| byte == 0).count();
    match Exchange::start(Mechanism::Plain, Some(Secret::new(data.to_vec()))) {
        Step::Done(found) => {
            assert_eq!(parts, 2);
            assert!(data.ends_with(found.password.expose()));
        }
        Step::Malformed => assert_ne!(parts, 2),
        Step::Challenge(..) => panic!("PLAIN has one message"),
    }

    for answer in doveadm::answers(200, data, &[Command::Who(None)]).into_iter().flatten() {
        assert!(matches!(answer, Ok(Answer::Who(_)) | Err(_)));
    }

    let text = String::from_utf8_lossy(data);
    let (mask, name) = text.split_once('\n').unwrap_or((&text, ""));
    assert!(Mask::new(name).matches(name));
    assert!(Mask::new(&format!("{mask}*")).matches(name) || !Mask::new(mask).matches(name));
});
