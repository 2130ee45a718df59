//! Reading and writing heads allocates nothing once the first one was there.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use truehop_http1::{Chunked, Limits, RequestHead, ResponseHead, Rewrite};

const REQUEST: &[u8] =
    b"POST /a?b HTTP/1.1\r\nHost: files.example.org\r\nConnection: close, X-A\r\nX-A: b\r\n\
    Expect: 100-continue\r\nContent-Length: 2\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\nConnection: close, X-A\r\n\r\n";

#[derive(Default)]
struct Exchange {
    request: RequestHead,
    response: ResponseHead,
    out: Rewrite,
}

impl Exchange {
    /// Reads both heads byte by byte, writes both, reads a body.
    fn run(&mut self) {
        let limits = Limits::default();
        self.request.clear();
        for end in 0..=REQUEST.len() {
            self.request.parse(&REQUEST[..end], &limits).unwrap();
        }
        let request = self.request.view(REQUEST);
        self.out.clear();
        self.out
            .request_line(request.method_text(), request.path_and_query());
        for field in request.fields().filter(|&field| !request.ends_here(field)) {
            self.out.keep(field);
        }
        self.out.add("X-Real-IP", b"192.0.2.1").unwrap();
        self.out.add_display("X-Forwarded-Host", request.host()).unwrap();
        self.out.finish();
        assert_eq!(
            self.out.pieces(REQUEST).map(<[u8]>::len).sum::<usize>(),
            self.out.len()
        );

        self.response.clear();
        assert_eq!(self.response.parse(RESPONSE, &limits), Ok(true));
        let response = self.response.view(RESPONSE);
        self.out.clear();
        self.out.status_line(response.status(), response.reason());
        for field in response.fields().filter(|&field| !response.ends_here(field)) {
            self.out.keep(field);
        }
        self.out.finish();

        assert!(
            Chunked::default()
                .decode(b"1;a=b\r\nx\r\n0\r\nA: b\r\n\r\n")
                .is_ok()
        );
    }
}

#[test]
fn nothing_is_allocated_after_the_first_exchange() {
    let mut exchange = Exchange::default();
    let first = allocation_counter::measure(|| exchange.run());
    assert!(first.count_total > 0, "allocations are counted");
    let second = allocation_counter::measure(|| exchange.run());
    assert_eq!(second.count_total, 0);
}
