//! A request head and what follows it: the first byte says how it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use truehop_http1::{Field, Limits, Request, RequestBody, RequestHead, Rewrite};

const LIMITS: Limits = Limits {
    head: 2048,
    fields: 24,
};

fuzz_target!(|input: &[u8]| {
    let Some((&step, buffer)) = input.split_first() else {
        return;
    };
    let mut head = RequestHead::default();
    let whole = head.parse(buffer, &LIMITS);

    let mut pieces = RequestHead::default();
    let mut last = Ok(false);
    for end in (0..buffer.len())
        .step_by(usize::from(step).max(1))
        .chain([buffer.len()])
    {
        last = pieces.parse(&buffer[..end], &LIMITS);
        if last != Ok(false) {
            break;
        }
    }
    assert_eq!(last, whole, "pieces of any size end like the whole");
    // Whatever came of it, asking is harmless.
    let request = head.view(buffer);
    let told = told(request);
    if whole != Ok(true) {
        return;
    }
    assert_eq!(told, self::told(pieces.view(buffer)));
    assert!(head.len() <= buffer.len() && head.len() <= LIMITS.head && pieces.len() == head.len());

    let mut at = None;
    for field in request.fields() {
        let line = field.line.range();
        assert!(
            at.is_none_or(|at| at == line.start),
            "no byte stands between two lines"
        );
        at = Some(line.end);
        assert!(buffer[line.clone()].starts_with(field.name.as_bytes()) && buffer[line].ends_with(b"\r\n"));
        assert!(!field.value.iter().any(|byte| b"\r\n\0".contains(byte)));
    }
    assert_eq!(
        at.map(|at| at + 2),
        Some(head.len()),
        "a host, and then the empty line"
    );
    assert_eq!(request.lines("host").count(), 1);
    let framed = request.lines("content-length").count() + request.lines("transfer-encoding").count();
    assert!(framed <= 1 && (framed == 1 || request.body() == RequestBody::Empty));

    let mut out = Rewrite::default();
    out.request_line(request.method_text(), request.target());
    request.fields().for_each(|field| out.keep(field));
    out.finish();
    let written = out.pieces(buffer).collect::<Vec<_>>().concat();
    assert_eq!(written.len(), out.len());
    let mut again = RequestHead::default();
    // A leading empty line is gone, and a later minor version is now 1.1.
    match again.parse(&written, &Limits::default()) {
        Ok(done) => assert!(done && again.len() == written.len()),
        Err(fault) => panic!("what was accepted is refused when it is written: {fault}"),
    }
    let same = |one: Field<'_>, other: Field<'_>| {
        (one.name, one.value, one.known) == (other.name, other.value, other.known)
    };
    let view = again.view(&written);
    assert!(
        view.fields()
            .zip(request.fields())
            .all(|(one, other)| same(one, other))
    );
    assert_eq!(
        (view.fields().len(), view.target()),
        (request.fields().len(), request.target())
    );
    if request.version() == view.version() {
        assert_eq!(
            (view.body(), view.host(), view.keep_alive()),
            (request.body(), request.host(), request.keep_alive())
        );
    }
});

/// Everything that a request says.
fn told(request: Request<'_>) -> String {
    let fields: Vec<_> = request
        .fields()
        .map(|field| (field, request.ends_here(field)))
        .collect();
    format!(
        "{request:?} {:?} {:?} {:?} {} {:?} {} {} {:?} {fields:?} {:?}",
        request.method(),
        request.path_and_query(),
        (request.path(), request.query()),
        request.host(),
        request.body(),
        request.keep_alive(),
        request.expects_continue(),
        request.upgrade(),
        request.nominated().collect::<Vec<_>>(),
    )
}
