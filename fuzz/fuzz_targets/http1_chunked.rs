//! A chunked body and what follows it: the first byte says how it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use truehop_http1::{BadChunk, Chunked, Step, trailer_fields};

const TRAILERS: usize = 256;

/// A whole body: its data, its trailer section, and the bytes it took.
type Read = (Vec<u8>, Vec<u8>, usize);

fuzz_target!(|input: &[u8]| {
    let Some((&step, body)) = input.split_first() else {
        return;
    };
    let whole = decode(body, body.len());
    assert_eq!(
        decode(body, usize::from(step).max(1)),
        whole,
        "pieces of any size end like the whole"
    );
    let Ok(Some((data, trailers, consumed))) = whole else {
        return;
    };
    assert!(data.len() + trailers.len() < consumed && consumed <= body.len());
    let fields: usize = trailer_fields(&trailers).map(|field| field.line.len()).sum();
    assert_eq!(fields, trailers.len(), "the section is fields and nothing else");

    // What is framed anew is the same body.
    let mut again = Vec::new();
    for chunk in data.chunks(7) {
        again.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    again.extend([b"0\r\n", &trailers[..], b"\r\n"].concat());
    assert_eq!(
        decode(&again, again.len()),
        Ok(Some((data, trailers, again.len())))
    );
});

fn decode(body: &[u8], piece: usize) -> Result<Option<Read>, BadChunk> {
    let mut chunked = Chunked::new(TRAILERS);
    let mut data = Vec::new();
    let (mut consumed, mut there) = (0, 0);
    loop {
        let bytes = &body[consumed..there];
        let step = chunked.decode(bytes);
        if let Err(fault) = step {
            assert_eq!(chunked.decode(bytes), Err(fault), "a fault stays");
        }
        match step? {
            Step::Data { skip, data: length } => {
                assert!(length > 0);
                data.extend_from_slice(&bytes[skip..skip + length]);
                consumed += skip + length;
            }
            Step::More { .. } if there == body.len() => return Ok(None),
            Step::More { skip } => {
                assert!(bytes.len() - skip <= TRAILERS + 2 + 16, "little is kept");
                consumed += skip;
                there = body.len().min(there + piece);
            }
            Step::End { skip, trailers } => {
                assert_eq!(&bytes[skip + trailers..skip + trailers + 2], b"\r\n");
                let section = bytes[skip..skip + trailers].to_vec();
                return Ok(Some((data, section, consumed + skip + trailers + 2)));
            }
        }
    }
}
