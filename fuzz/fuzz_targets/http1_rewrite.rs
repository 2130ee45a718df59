//! A head put together from what a caller may have, parts with the byte 0x1e between: which lines of a parsed head to keep
//! and how to add, that head, the parts of a start line, then names and values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use truehop_http1::{Field, Limits, RequestHead, ResponseHead, Rewrite};

type Fields = Vec<(String, Vec<u8>)>;

fuzz_target!(|input: &[u8]| {
    let limits = Limits {
        head: 1 << 20,
        fields: 1000,
    };
    let mut parts = input.split(|&byte| byte == 0x1e);
    let mut part = || parts.next().unwrap_or_default();
    let (knobs, source, method, target) = (part(), part(), part(), part());
    let [kept, how, is_request] = [0, 1, 2].map(|at| knobs.get(at).copied().unwrap_or_default());

    let mut out = Rewrite::default();
    let mut expected = Fields::new();
    let mut head = RequestHead::default();
    if head.parse(source, &limits) == Ok(true) {
        for (nth, field) in head.view(source).fields().enumerate() {
            if kept >> (nth % 8) & 1 == 1 {
                out.keep(field);
                expected.push((field.name.to_owned(), field.value.to_vec()));
            }
        }
    }
    let most = expected.len() + 2;
    let mut nth = 0;
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        let (before, name) = (out.len(), String::from_utf8_lossy(name));
        let (result, value) = if how >> (nth % 8) & 1 == 1 {
            let text = String::from_utf8_lossy(value);
            (out.add_display(&name, &text), text.as_bytes().to_vec())
        } else {
            (out.add(&name, value), value.to_vec())
        };
        match result {
            Ok(()) => expected.push((name.into_owned(), trimmed(&value).to_vec())),
            Err(_) => assert_eq!(out.len(), before, "what is refused leaves nothing"),
        }
        nth += 1;
    }
    let is_request = is_request & 1 == 1;
    if is_request {
        out.request_line(&String::from_utf8_lossy(method), &String::from_utf8_lossy(target));
    } else {
        let status = method
            .iter()
            .fold(0_u16, |status, byte| status << 4 ^ u16::from(*byte));
        out.status_line(status, target);
    }
    out.finish();
    let written = out.pieces(source).collect::<Vec<_>>().concat();
    assert_eq!(written.len(), out.len());
    assert!(out.pieces(source).count() <= most);

    // Whatever it says, it is one start line and these fields.
    let lines = written.split(|&byte| byte == b'\n').count() - 1;
    assert_eq!(lines, expected.len() + 2);
    assert!(written.ends_with(b"\r\n\r\n") && written.iter().filter(|&&byte| byte == b'\r').count() == lines);
    let mut response = ResponseHead::default();
    head.clear();
    let read = match is_request {
        true if head.parse(&written, &limits) == Ok(true) => owned(head.view(&written).fields()),
        false if response.parse(&written, &limits) == Ok(true) => owned(response.view(&written).fields()),
        _ => return,
    };
    assert_eq!(read, expected);
});

fn owned<'a>(fields: impl Iterator<Item = Field<'a>>) -> Fields {
    fields
        .map(|field| (field.name.to_owned(), field.value.to_vec()))
        .collect()
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
