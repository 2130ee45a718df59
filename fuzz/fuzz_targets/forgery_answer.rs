//! What a server says to a forgery: the first byte says in which language, and how it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use truehop_forgeries::{Answer, Cast, Exchange, Forgery, Language, Place, State};

fuzz_target!(|input: &[u8]| {
    let Some((&knobs, said)) = input.split_first() else {
        return;
    };
    let language = match knobs & 0x80 {
        0 => Language::Http1,
        _ => Language::Http2,
    };
    let (state, whole) = heard([said], language);
    let step = usize::from(knobs & 0x7f).max(1);
    let (cut_state, pieces) = heard(said.chunks(step), language);
    assert_eq!(pieces, whole, "pieces of any size end like the whole");
    assert_eq!(cut_state, state);

    let bodies: usize = whole.iter().map(|answer| answer.body.len()).sum();
    assert!(bodies <= said.len());
    for Answer { status, .. } in &whole {
        let is_last =
            |status| (200..=599).contains(&status) || (status == 101 && language == Language::Http1);
        assert!(status.is_none_or(is_last), "interim answers are left out");
    }
    if state == State::Answered {
        assert!(whole.first().is_some_and(|answer| answer.status.is_some()));
    }
});

/// How far the exchange is in the end, and what was answered.
fn heard<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, language: Language) -> (State, Vec<Answer>) {
    let cast = Cast {
        forged: [203, 0, 113, 96].into(),
        trusted: [127, 0, 0, 1].into(),
    };
    let place = Place {
        host: "a",
        path: "/",
        beside: &[],
    };
    let (mut exchange, _) = Exchange::begin(&Forgery::honest().request(&cast, &place), language);
    let mut state = State::Open;
    for piece in pieces {
        state = exchange.receive(piece).0;
        if state == State::Over {
            break;
        }
    }
    (state, exchange.end())
}
