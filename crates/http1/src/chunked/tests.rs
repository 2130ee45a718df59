//! What is accepted and how it reads; what is refused, and by which name. Each row at every split.

use super::*;

const LIMIT: usize = 32;

/// All data and the trailer section.
type Read = (Vec<u8>, Vec<u8>);

/// What a body says, the bytes coming so many at a time; `None` where the body is not complete.
fn decode(body: &[u8], piece: usize) -> Result<Option<Read>, BadChunk> {
    let mut chunked = Chunked::new(LIMIT);
    let mut data = Vec::new();
    let (mut consumed, mut there) = (0, 0);
    loop {
        let bytes = &body[consumed..there];
        let step = chunked.decode(bytes);
        if let Err(fault) = step {
            assert_eq!(chunked.decode(bytes), Err(fault), "asked again");
        }
        match step? {
            Step::Data { skip, data: length } => {
                assert!(length > 0);
                data.extend_from_slice(&bytes[skip..skip + length]);
                consumed += skip + length;
            }
            Step::More { .. } if there == body.len() => return Ok(None),
            Step::More { skip } => {
                consumed += skip;
                there = body.len().min(there + piece);
            }
            Step::End { skip, trailers } => {
                assert_eq!(&bytes[skip + trailers..], b"\r\n", "the whole body is consumed");
                assert_eq!(chunked.decode(b"1"), Err(BadChunk::Over));
                return Ok(Some((data, bytes[skip..skip + trailers].to_vec())));
            }
        }
    }
}

fn at_every_split(body: &[u8]) -> Result<Option<Read>, BadChunk> {
    let whole = decode(body, body.len().max(1));
    for piece in 1..body.len() {
        assert_eq!(
            decode(body, piece),
            whole,
            "{:?} by {piece}",
            body.escape_ascii().to_string()
        );
    }
    whole
}

#[test]
fn bodies_are_read() {
    for (body, data, trailers) in [
        ("0\r\n\r\n", "", ""),
        ("1\r\na\r\n0\r\n\r\n", "a", ""),
        (
            "a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n",
            "01234567890123456789",
            "",
        ),
        ("0000000000000001\r\na\r\n0000000000000000\r\n\r\n", "a", ""),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
        ("1;a\r\nx\r\n0;b=c;d=\"e;\\\"\t\\\\é\";f=\"\"\r\n\r\n", "x", ""),
        ("0\r\nA: b\r\nC:\r\n\r\n", "", "A: b\r\nC:\r\n"),
        (
            "1\r\na\r\n0\r\nDigest: 0123456789abcdef012345\r\n\r\n",
            "a",
            "Digest: 0123456789abcdef012345\r\n",
        ),
    ] {
        let read = at_every_split(body.as_bytes()).unwrap().unwrap();
        assert_eq!(
            read,
            (data.as_bytes().to_vec(), trailers.as_bytes().to_vec()),
            "{body:?}"
        );
    }
    let longest = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(EXTENSION_BYTES - 1));
    assert_eq!(at_every_split(longest.as_bytes()).unwrap().unwrap().0, b"a");
}

#[test]
fn faults_have_names() {
    for (body, fault) in [
        ("\r\n", BadChunk::NoSize),
        ("\n", BadChunk::NoSize),
        (" 1\r\n", BadChunk::NoSize),
        ("x\r\n", BadChunk::NoSize),
        ("-1\r\n", BadChunk::NoSize),
        (";a\r\n", BadChunk::NoSize),
        ("00000000000000001\r\n", BadChunk::SizeTooLarge),
        ("10000000000000000\r\n", BadChunk::SizeTooLarge),
        ("0x1\r\n", BadChunk::Size),
        ("1 \r\n", BadChunk::Size),
        ("1\t;a\r\n", BadChunk::Size),
        ("1g\r\n", BadChunk::Size),
        ("1_0\r\n", BadChunk::Size),
        ("1,1\r\n", BadChunk::Size),
        ("1\na", BadChunk::BareLf),
        ("1;a\nb", BadChunk::BareLf),
        ("1;a=\"\n\"\r\n", BadChunk::BareLf),
        ("1\r1\r\n", BadChunk::BareCr),
        ("1\r\r\n", BadChunk::BareCr),
        ("1;a\rb\r\n", BadChunk::BareCr),
        ("1;\r\n", BadChunk::Extension),
        ("1;a;\r\n", BadChunk::Extension),
        ("1; a\r\n", BadChunk::Extension),
        ("1;a =b\r\n", BadChunk::Extension),
        ("1;a= b\r\n", BadChunk::Extension),
        ("1;a \r\n", BadChunk::Extension),
        ("1;a=\r\n", BadChunk::Extension),
        ("1;=b\r\n", BadChunk::Extension),
        ("1;a=\"b\r\n", BadChunk::Extension),
        ("1;a=\"b\\\r\n", BadChunk::Extension),
        ("1;a=\"b\"c\r\n", BadChunk::Extension),
        ("1;a=\"\0\"\r\n", BadChunk::Extension),
        ("1;a=\"\\\0\"\r\n", BadChunk::Extension),
        ("1;a\0\r\n", BadChunk::Extension),
        ("1;é\r\n", BadChunk::Extension),
        ("1\r\nab\r\n", BadChunk::DataEnd),
        ("1\r\na\n", BadChunk::DataEnd),
        ("1\r\na\r0", BadChunk::DataEnd),
        ("0\r\n\n", BadChunk::Trailer(BadHead::BareLf)),
        ("0\r\nA: b\n", BadChunk::Trailer(BadHead::BareLf)),
        ("0\r\n\rA: b\r\n", BadChunk::Trailer(BadHead::BareCr)),
        ("0\r\nA\r\n", BadChunk::Trailer(BadHead::NoColon)),
        ("0\r\n A: b\r\n", BadChunk::Trailer(BadHead::LeadingSpace)),
        ("0\r\nA: b\r\n c\r\n", BadChunk::Trailer(BadHead::ObsFold)),
        ("0\r\nA : b\r\n", BadChunk::Trailer(BadHead::SpaceBeforeColon)),
        ("0\r\nA: \0\r\n", BadChunk::Trailer(BadHead::Value)),
        ("0\r\nGET / HTTP/1.1\r\n", BadChunk::Trailer(BadHead::NoColon)),
        ("0\r\nContent-Length: 1\r\n", BadChunk::ForbiddenTrailer),
        (
            "0\r\nA: b\r\ntransfer-encoding: chunked\r\n",
            BadChunk::ForbiddenTrailer,
        ),
        ("0\r\nHost: a\r\n", BadChunk::ForbiddenTrailer),
        (
            "0\r\nA: 0123456789012345678901234567890\r\n\r\n",
            BadChunk::TrailersTooLong,
        ),
        (
            "0\r\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            BadChunk::TrailersTooLong,
        ),
    ] {
        assert_eq!(at_every_split(body.as_bytes()), Err(fault), "{body:?}");
    }
    let long = format!("1;{}", "x".repeat(EXTENSION_BYTES + 1));
    assert_eq!(at_every_split(long.as_bytes()), Err(BadChunk::ExtensionTooLong));
}

#[test]
fn unfinished_bodies_want_more() {
    for body in [
        "",
        "1",
        "f",
        "1\r",
        "1;a",
        "1;a\r",
        "3\r\nab",
        "1\r\na",
        "1\r\na\r",
        "0\r\n",
        "0\r\n\r",
        "0\r\nA: b\r\n",
    ] {
        assert_eq!(at_every_split(body.as_bytes()), Ok(None), "{body:?}");
    }
}

#[test]
fn the_largest_chunk_is_data() {
    let mut chunked = Chunked::default();
    assert_eq!(
        chunked.decode(b"ffffffffffffffff\r\nab"),
        Ok(Step::Data { skip: 18, data: 2 })
    );
    assert_eq!(chunked.decode(b"c"), Ok(Step::Data { skip: 0, data: 1 }));
    assert_eq!(chunked.decode(b""), Ok(Step::More { skip: 0 }));
}

#[test]
fn what_follows_the_body_is_left_alone() {
    let bytes = b"0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n";
    assert_eq!(
        Chunked::default().decode(bytes),
        Ok(Step::End { skip: 3, trailers: 6 })
    );
}

#[test]
fn trailer_fields_are_read() {
    let section = b"A: b\r\nDate:c\r\n";
    let fields: Vec<_> = trailer_fields(section).collect();
    assert_eq!(fields[0].value, b"b");
    assert_eq!((fields[1].name, fields[1].known), ("Date", Some(Known::Date)));
    assert_eq!(&section[fields[1].line.range()], b"Date:c\r\n");
    assert_eq!(fields.len(), 2);
    // Not a section that was accepted.
    for (section, count) in [
        (&b"A: b\r\nC\r\nD: e\r\n"[..], 1),
        (b"A: b\r\n\r\nC: d\r\n", 1),
        (b"A: b", 0),
        (b"", 0),
    ] {
        assert_eq!(trailer_fields(section).count(), count);
    }
}
