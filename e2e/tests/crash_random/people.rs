//! Those who use the drop, and go on after each crash.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use truehop_e2e::{
    Dice, Host, Outcome, Request, Uploaded, Wire, archive, content, entries, form_of, range_of,
};

use crate::books::{Books, Known};
use crate::fuse::Fuse;

/// Between two events of an upload.
const PIECE: usize = 64 << 10;

/// One process, as its clients see it.
struct Server<'a> {
    address: SocketAddr,
    fuse: &'a Fuse,
    books: &'a Books,
}

impl Server<'_> {
    /// Sends a request that gives nobody anything. It makes no event: there are too many of them.
    fn ask_idly(&self, host: Host, request: &Request) -> Outcome {
        self.ask_telling(host, request, None, || {})
    }

    /// Sends a request and reads what comes, until the process dies or `stop` bytes of the body have come.
    fn ask(&self, host: Host, request: &Request, stop: Option<usize>) -> Outcome {
        self.ask_telling(host, request, stop, || self.fuse.event())
    }

    fn ask_telling(&self, host: Host, request: &Request, stop: Option<usize>, event: impl Fn()) -> Outcome {
        let wire = match stop {
            Some(_) => Wire::connect_narrow(host, self.address),
            None => Wire::connect(host, self.address),
        };
        let Ok(mut wire) = wire else {
            return self.lost("no connection", request);
        };
        let is_sent = wire.send_in_pieces(request, PIECE, &event);
        let outcome = Outcome::while_staying(wire, request, |had| {
            event();
            stop.is_none_or(|stop| had < stop)
        });
        match &outcome {
            Outcome::Lost => self.lost(&format!("no answer (sent: {is_sent:?})"), request),
            Outcome::Broken(answer) if stop.is_none_or(|stop| answer.body.len() < stop) => {
                self.lost(&format!("half an answer: {answer:?}"), request);
                outcome
            }
            _ => outcome,
        }
    }

    /// Whatever breaks off must do so by a death, or by a withdrawal, which cuts who is collecting.
    fn lost(&self, what: &str, request: &Request) -> Outcome {
        let line = request.to_string();
        let line = line.lines().next().unwrap_or_default();
        if !self.fuse.is_blown() && !self.books.may_be_cut(line) {
            self.books.fail(format!("{line}: {what}, and the process lives"));
        }
        Outcome::Lost
    }
}

/// Somebody who uploads, looks after what was uploaded, and takes some of it back.
#[derive(Debug)]
pub(crate) struct Uploader {
    host: Host,
    dice: Dice,
    seed: u64,
}

impl Uploader {
    /// As many drops as recipients can cope with.
    const LIVE: usize = 30;

    pub(crate) fn new(number: u8, seed: u64) -> Self {
        Self {
            host: Host::at(127, 0, 3, number),
            dice: Dice::new(seed << 8 | u64::from(number)),
            seed: u64::from(number) << 40,
        }
    }

    pub(crate) fn live(&mut self, address: SocketAddr, fuse: &Fuse, books: &Books) {
        let server = Server { address, fuse, books };
        while !fuse.is_blown() {
            match self.dice.below(10) {
                0..6 if books.live() < Self::LIVE => self.upload(&server),
                6 => self.withdraw(&server),
                _ => self.look(&server),
            }
        }
    }

    fn upload(&mut self, server: &Server<'_>) {
        let count = match self.dice.below(3) {
            0 => 2 + self.dice.below(2),
            _ => 1,
        };
        let contents: Vec<Arc<Vec<u8>>> = (0..count).map(|_| Arc::new(self.file())).collect();
        let request = match contents.as_slice() {
            [one] => Request::new("PUT", "/1.bin").body(one),
            several => form_of(
                &several
                    .iter()
                    .map(|content| content.as_slice())
                    .collect::<Vec<_>>(),
            ),
        };
        match server.ask(self.host, &request, None) {
            Outcome::Answered(answer) if answer.status == 201 => {
                server.books.promise(self.host, Uploaded::read(&answer), contents);
            }
            Outcome::Answered(answer) => server.books.fail(format!("an upload was refused: {answer:?}")),
            Outcome::Broken(_) | Outcome::Lost => {}
        }
    }

    /// Mostly small ones, of which a process sees many.
    fn file(&mut self) -> Vec<u8> {
        let length = match self.dice.below(8) {
            0 => 0,
            1 => (600 << 10) + self.dice.below(600 << 10),
            2 => 60_000 + self.dice.below(20_000),
            _ => 1 + self.dice.below(8 << 10),
        };
        self.seed += 1;
        content(self.seed, usize::try_from(length).expect("a length"))
    }

    fn withdraw(&mut self, server: &Server<'_>) {
        let Some(known) = server.books.some(&mut self.dice) else {
            return;
        };
        let number = self
            .dice
            .one_in(2)
            .then(|| 1 + self.dice.below(known.contents.len() as u64) as u32);
        let path = number.map_or_else(|| known.link.to_string(), |number| known.link.file(number));
        server.books.withdraw(known.at, number);
        let request = Request::new("DELETE", &path).header("Truehop-Owner", &known.owner);
        match server.ask(self.host, &request, None) {
            Outcome::Answered(answer) if matches!(answer.status, 200 | 303) => {
                // Whether each of them was still there, nobody says.
                for number in known
                    .numbers()
                    .filter(|had| number.is_none_or(|number| number == *had))
                {
                    server.books.gone(known.at, number);
                }
            }
            Outcome::Answered(answer) if answer.status != 410 => {
                server.books.fail(format!("a withdrawal was refused: {answer:?}"));
            }
            _ => {}
        }
    }

    /// An owner's own download.
    fn look(&mut self, server: &Server<'_>) {
        let Some(known) = server.books.some(&mut self.dice) else {
            return;
        };
        let number = 1 + self.dice.below(known.contents.len() as u64) as u32;
        let mut request = Request::new("GET", &known.link.bytes(number));
        let mut host = known.uploader;
        if self.dice.one_in(2) {
            host = Host::at(127, 0, 5, 1);
            request = request.header("Truehop-Owner", &known.owner);
        }
        if let Outcome::Answered(answer) = server.ask_idly(host, &request) {
            match answer.status {
                200 if answer.body == known.content(number) => {}
                410 => server.books.gone(known.at, number),
                _ => server
                    .books
                    .fail(format!("the owner of {} got {answer:?}", known.link)),
            }
        }
    }
}

/// Somebody who collects.
#[derive(Debug)]
pub(crate) struct Recipient {
    host: Host,
    dice: Dice,
    /// What a crash has broken off.
    carried: Option<Carried>,
}

#[derive(Clone, Debug)]
struct Carried {
    known: Known,
    collection: Option<String>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    File(u32),
    /// An archive, of which these bytes came.
    Archive(Vec<u8>),
}

impl Recipient {
    pub(crate) fn new(number: u8, seed: u64) -> Self {
        Self {
            host: Host::at(127, 0, 2, number),
            dice: Dice::new(seed << 16 | u64::from(number)),
            carried: None,
        }
    }

    pub(crate) fn live(&mut self, address: SocketAddr, fuse: &Fuse, books: &Books) {
        let server = Server { address, fuse, books };
        if let Some(carried) = self.carried.take().filter(|_| !self.dice.one_in(3)) {
            self.resume(&server, carried);
        }
        while !fuse.is_blown() {
            let Some(known) = books.some(&mut self.dice) else {
                let _ = server.ask_idly(self.host, &Request::new("GET", "/"));
                continue;
            };
            let number = 1 + self.dice.below(known.contents.len() as u64) as u32;
            match self.dice.below(20) {
                0..8 => self.whole(&server, known, number),
                8..12 => self.pieces(&server, known, number),
                12..14 => self.both_halves(&server, &known, number),
                14..19 if known.contents.len() > 1 => self.archive(&server, known),
                _ => self.noise(&server, &known, number),
            }
        }
    }

    fn whole(&mut self, server: &Server<'_>, known: Known, number: u32) {
        let request = Request::new("GET", &known.link.bytes(number));
        let length = known.content(number).len() as u64;
        let stop = self.dice.one_in(4).then(|| self.dice.below(length + 1) as usize);
        let outcome = self.part(
            server,
            &known,
            number,
            request,
            0..known.content(number).len(),
            stop,
        );
        self.carry(server, known, &outcome, What::File(number));
    }

    /// One piece after the other, in any order.
    fn pieces(&mut self, server: &Server<'_>, known: Known, number: u32) {
        let length = known.content(number).len();
        let count = 2 + self.dice.below(3) as usize;
        let mut cuts: Vec<usize> = (1..count)
            .map(|_| self.dice.below(length as u64 + 1) as usize)
            .collect();
        cuts.extend([0, length]);
        cuts.sort_unstable();
        let mut pieces: Vec<Range<usize>> = cuts.windows(2).map(|cuts| cuts[0]..cuts[1]).collect();
        pieces.retain(|piece| !piece.is_empty());
        if self.dice.one_in(2) {
            pieces.reverse();
        }
        let mut collection = None;
        for piece in pieces {
            let request = Request::new("GET", &known.link.bytes(number));
            let request = in_collection(request.header("Range", &range_of(&piece)), collection.as_deref());
            let outcome = self.part(server, &known, number, request, piece, None);
            collection = collection.or(outcome.collection());
            if outcome.status() != Some(206) || self.dice.one_in(6) {
                self.carry(server, known, &outcome, What::File(number));
                return;
            }
        }
    }

    /// Two requests under way at once; the second has no name to show.
    fn both_halves(&mut self, server: &Server<'_>, known: &Known, number: u32) {
        let length = known.content(number).len();
        let halves = [0..length / 2, length / 2..length];
        if length < 2 {
            return;
        }
        let was_gone = server.books.is_gone(known.at, number);
        let mut wires = Vec::new();
        for half in &halves {
            let request = Request::new("GET", &known.link.bytes(number)).header("Range", &range_of(half));
            let Ok(mut wire) = Wire::connect(self.host, server.address) else {
                server.lost("no connection", &request);
                break;
            };
            let _ = wire.send_in_pieces(&request, PIECE, || server.fuse.event());
            wires.push((wire, half.start, request));
        }
        for (wire, start, request) in wires {
            let outcome = Outcome::while_staying(wire, &request, |_| {
                server.fuse.event();
                true
            });
            if !matches!(outcome, Outcome::Answered(_)) {
                server.lost(&format!("half an answer: {outcome:?}"), &request);
            }
            self.note(server, known, number, start, &outcome, false, was_gone);
        }
    }

    fn part(
        &mut self,
        server: &Server<'_>,
        known: &Known,
        number: u32,
        request: Request,
        range: Range<usize>,
        stop: Option<usize>,
    ) -> Outcome {
        let was_gone = server.books.is_gone(known.at, number);
        let outcome = server.ask(self.host, &request, stop);
        let has_left = stop.is_some() && !matches!(outcome, Outcome::Answered(_));
        // The whole is answered where no part can be.
        let start = if outcome.status() == Some(206) {
            range.start
        } else {
            0
        };
        self.note(server, known, number, start, &outcome, has_left, was_gone);
        outcome
    }

    #[expect(clippy::too_many_arguments, reason = "one line of the books")]
    fn note(
        &self,
        server: &Server<'_>,
        known: &Known,
        number: u32,
        start: usize,
        outcome: &Outcome,
        has_left: bool,
        was_gone: bool,
    ) {
        match outcome.status() {
            Some(200 | 206) => {
                if was_gone {
                    server.books.risen(known.at, number, self.host);
                }
                server
                    .books
                    .got(known.at, number, self.host, start, outcome.body(), has_left);
            }
            Some(410) => server.books.gone(known.at, number),
            Some(423) => server.books.refused(),
            Some(_) => server
                .books
                .fail(format!("{} got {outcome:?} for {}", self.host, known.link)),
            None => {
                // Somebody who left before the head may have been sent a small file.
                if has_left {
                    server.books.left(known.at, number, self.host);
                }
            }
        }
    }

    fn archive(&mut self, server: &Server<'_>, known: Known) {
        let stop = self.dice.one_in(4).then(|| self.dice.below(700 << 10) as usize);
        let request = Request::new("GET", &known.link.zip());
        let outcome = server.ask(self.host, &request, stop);
        self.note_archive(server, known, &outcome, Vec::new(), stop.is_some());
    }

    fn note_archive(
        &mut self,
        server: &Server<'_>,
        known: Known,
        outcome: &Outcome,
        before: Vec<u8>,
        may_leave: bool,
    ) {
        let is_whole = matches!(outcome, Outcome::Answered(_));
        match outcome.status() {
            Some(status @ (200 | 206)) => {
                let bytes = match status {
                    206 => [&before, outcome.body()].concat(),
                    _ => outcome.body().to_vec(),
                };
                let read = if is_whole {
                    archive(&bytes)
                } else {
                    entries(&bytes)
                };
                match read {
                    Ok(entries) => {
                        let has_left = may_leave && !is_whole;
                        server.books.got_archive(&known, self.host, &entries, has_left);
                    }
                    Err(error) => server
                        .books
                        .fail(format!("the archive of {}: {error}", known.link)),
                }
                self.carry(server, known, outcome, What::Archive(bytes));
            }
            Some(410) => known
                .numbers()
                .for_each(|number| server.books.gone(known.at, number)),
            Some(423) => server.books.refused(),
            Some(_) => server
                .books
                .fail(format!("{} got {outcome:?} for {}", self.host, known.link)),
            None => {
                if may_leave {
                    server.books.got_archive(&known, self.host, &[], true);
                }
            }
        }
    }

    /// What gives nobody anything.
    fn noise(&mut self, server: &Server<'_>, known: &Known, number: u32) {
        let path = known.link.bytes(number);
        let request = match self.dice.below(4) {
            0 => Request::new("HEAD", &path),
            1 => Request::new("GET", &path).header("Sec-Purpose", "prefetch"),
            2 => Request::new("GET", &path).header("User-Agent", "Slackbot-LinkExpanding 1.0"),
            _ => Request::new("GET", known.link.page()),
        };
        let outcome = server.ask_idly(self.host, &request);
        if outcome.body() == known.content(number) && !known.content(number).is_empty() {
            server
                .books
                .fail(format!("{request:?} got the bytes of {}", known.link));
        }
    }

    /// Keeps in mind what a crash has broken off.
    fn carry(&mut self, server: &Server<'_>, known: Known, outcome: &Outcome, what: What) {
        if server.fuse.is_blown() && matches!(outcome, Outcome::Broken(_) | Outcome::Lost) {
            let collection = outcome.collection();
            self.carried = Some(Carried {
                known,
                collection,
                what,
            });
        }
    }

    fn resume(&mut self, server: &Server<'_>, carried: Carried) {
        let Carried {
            known,
            collection,
            what,
        } = carried;
        // Who keeps no cookies has the address only.
        let collection = collection.filter(|_| !self.dice.one_in(3));
        match what {
            What::File(number) => {
                let length = known.content(number).len();
                let gap = server.books.has(known.at, number, self.host).gap(length);
                if gap.is_empty() {
                    return;
                }
                let request = Request::new("GET", &known.link.bytes(number)).header("Range", &range_of(&gap));
                let request = in_collection(request, collection.as_deref());
                let outcome = self.part(server, &known, number, request, gap, None);
                if outcome.status() == Some(206) {
                    server.books.resumed();
                }
                self.carry(server, known, &outcome, What::File(number));
            }
            What::Archive(bytes) if collection.is_some() && !bytes.is_empty() => {
                let request = Request::new("GET", &known.link.zip());
                let request = request.header("Range", &format!("bytes={}-", bytes.len()));
                let outcome = server.ask(self.host, &in_collection(request, collection.as_deref()), None);
                if outcome.status() == Some(206) {
                    server.books.resumed();
                }
                self.note_archive(server, known, &outcome, bytes, false);
            }
            What::Archive(_) => self.archive(server, known),
        }
    }
}

fn in_collection(request: Request, collection: Option<&str>) -> Request {
    match collection {
        Some(collection) => request.header("Truehop-Collection", collection),
        None => request,
    }
}
