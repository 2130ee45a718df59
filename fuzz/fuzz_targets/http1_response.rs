//! A response head and what follows it: the first byte says how it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use truehop_http1::{Limits, Method, Response, ResponseBody, ResponseHead, Rewrite};

const LIMITS: Limits = Limits {
    head: 2048,
    fields: 24,
};

fuzz_target!(|input: &[u8]| {
    let Some((&step, buffer)) = input.split_first() else {
        return;
    };
    let mut head = ResponseHead::default();
    let whole = head.parse(buffer, &LIMITS);

    let mut pieces = ResponseHead::default();
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
    let response = head.view(buffer);
    let told = told(response);
    if whole != Ok(true) {
        return;
    }
    assert_eq!(told, self::told(pieces.view(buffer)));
    assert!(head.len() <= buffer.len() && head.len() <= LIMITS.head && pieces.len() == head.len());
    assert!((100..600).contains(&response.status()));
    assert_eq!(response.body(Method::Head), ResponseBody::Empty);
    let framed = response.lines("content-length").count() + response.lines("transfer-encoding").count();
    assert!(framed <= 1);

    let mut out = Rewrite::default();
    out.status_line(response.status(), response.reason());
    response.fields().for_each(|field| out.keep(field));
    out.finish();
    let written = out.pieces(buffer).collect::<Vec<_>>().concat();
    assert_eq!(written.len(), out.len());
    let mut again = ResponseHead::default();
    match again.parse(&written, &Limits::default()) {
        Ok(done) => assert!(done && again.len() == written.len()),
        Err(fault) => panic!("what was accepted is refused when it is written: {fault}"),
    }
    let view = again.view(&written);
    assert_eq!(
        (view.status(), view.reason()),
        (response.status(), response.reason())
    );
    assert_eq!(view.fields().len(), response.fields().len());
    let fields = view.fields().zip(response.fields());
    assert!(
        fields
            .into_iter()
            .all(|(one, other)| (one.name, one.value) == (other.name, other.value))
    );
    assert_eq!(view.body(Method::Get), response.body(Method::Get));
});

/// Everything that a response says.
fn told(response: Response<'_>) -> String {
    let fields: Vec<_> = response
        .fields()
        .map(|field| (field, response.ends_here(field)))
        .collect();
    let bodies = [Method::Get, Method::Head, Method::Connect].map(|method| response.body(method));
    format!(
        "{response:?} {:?} {bodies:?} {} {:?} {:?} {fields:?} {:?}",
        response.reason(),
        response.keep_alive(),
        response.content_length(),
        response.upgrade(),
        response.nominated().collect::<Vec<_>>(),
    )
}
