//! Target `lease`: what asks a box for a port (`LeaseClient`), and a box, or whoever can speak in its
//! name, that says anything at any time.
//!
//! ```text
//! header
//!      0    1  bits: 0 IPv6
//!      1    2  port
//!      3    1  the nonce: twelve of these
//!
//! record
//!      0    1  the act
//!      1    1  time that passes before it
//!      2    1  bits: 0 the client is called late, 1 the answer is changed, 2 the box's seconds go on
//!              as ours, 3 another nonce, 4 another port than ours, 5 the client is not called
//!      3    1  result, or which of the answers that came before
//!      4    4  seconds
//!      8    4  seconds since the box began, or what is added to them
//!     12    2  the port that is granted, or the place of the change
//!     14    1  the kind of change
//!     15    1  what it writes
//! ```
//!
//! Asserted: no bytes panic; what is not taken changes nothing; a lease is the one that an answer with
//! our nonce and port grants to a request that is out, for the time that it grants and at most a day;
//! requests are as far apart as the RFCs ask for, and ever farther while nobody answers, but for one
//! more when the box turns out to speak NAT-PMP alone and one that gives the lease back; the client is
//! due at a finite time until it is ended, and not afterwards.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::Instant;
use genkan_core::nat::lease::{Lease, LeaseClient, MAX_REQUEST};

use crate::record::{Record, mar, split};
use crate::watch::story;

const MOST_ACTS: usize = 48;
/// Requests of one lease are at least so far apart (RFC 6887 section 11.2.1).
const APART: Duration = Duration::from_secs(4);
/// Without a lease: 3 s and doubled, up to 1,024 s, a tenth less at the most (section 8.1.1).
const FIRST: Duration = Duration::from_millis(2_700);
const SELDOM: Duration = Duration::from_millis(921_600);
const DAY: Duration = Duration::from_secs(86_400);

type Act = Record<16>;

struct Trial {
    now: Instant,
    began: Instant,
    inside: SocketAddr,
    nonce: [u8; 12],
    client: LeaseClient,
    /// The last request: when it left, and how soon another one may follow.
    asked: Option<(Instant, Duration)>,
    /// Its length.
    form: usize,
    /// Requests since the last answer that was taken, or since the lease has ended.
    silent: u32,
    /// A request is out.
    waits: bool,
    leased: bool,
    ended: bool,
    answers: Vec<Vec<u8>>,
}

/// Runs one input.
pub fn lease(data: &[u8]) {
    let (header, acts) = split::<4, 16>(data, MOST_ACTS);
    let ip = if header.flag(0, 0) { "2001:db8::9" } else { "192.168.1.9" };
    let inside = SocketAddr::new(ip.parse().expect("an address"), header.word(1));
    let (began, nonce) = (Instant::from_millis(1_000), [header.byte(3); 12]);
    let mut trial = Trial {
        now: began,
        began,
        inside,
        nonce,
        client: LeaseClient::new(began, inside, nonce),
        asked: None,
        form: MAX_REQUEST,
        silent: 0,
        waits: false,
        leased: false,
        ended: false,
        answers: Vec::new(),
    };
    for act in acts {
        story(|| format!("{:?} {act:?}", trial.now));
        trial.pass(act.time(1), act.flag(2, 0));
        trial.act(&act);
        if !act.flag(2, 5) {
            trial.poll();
        }
    }
    trial.pass(2 * DAY, false);
}

impl Trial {
    fn pass(&mut self, time: Duration, late: bool) {
        let end = self.now.after(time);
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            self.now = if late { end } else { self.now.max(due) };
            self.poll();
        }
        self.now = end;
    }

    fn act(&mut self, act: &Act) {
        let bytes = match act.byte(0) % 8 {
            0 => return,
            1 => self.pcp(act, 129),
            2 => self.nat_pmp(act, 129),
            3 => self.pcp(act, 128),
            4 => self.nat_pmp(act, 128),
            5 => act.tail(2).to_vec(),
            6 if act.flag(3, 0) => return self.end(),
            _ => match self.answers.len() {
                0 => return,
                count => self.answers[act.below(3, count)].clone(),
            },
        };
        let mut bytes = bytes;
        if act.flag(2, 1) {
            mar(&mut bytes, act.byte(14), act.word(12), act.byte(15));
        }
        self.answer(&bytes);
        self.answers.push(bytes);
    }

    fn end(&mut self) {
        self.client.end(self.now);
        self.ended = true;
        self.poll();
        assert_eq!(self.client.poll_timeout(), None, "ended, and yet due");
    }

    /// The fields that both protocols have: result, seconds, the box's seconds, the port of ours.
    fn fields(&self, act: &Act) -> (u8, [u8; 4], [u8; 4], [u8; 2]) {
        let since = if act.flag(2, 2) { self.now.since(self.began).as_secs() as u32 } else { 0 };
        let epoch = act.long(8).wrapping_add(since).to_be_bytes();
        let port = self.inside.port() ^ u16::from(act.flag(2, 4));
        let result = if act.byte(3) < 128 { 0 } else { act.byte(3) & 15 };
        (result, act.long(4).to_be_bytes(), epoch, port.to_be_bytes())
    }

    /// As RFC 6887 draws it in figures 3 and 9.
    fn pcp(&self, act: &Act, opcode: u8) -> Vec<u8> {
        let (result, seconds, epoch, port) = self.fields(act);
        let head = [&[2, opcode, 0, result][..], &seconds, &epoch, &[0; 12]].concat();
        if opcode == 128 {
            return head;
        }
        let mut nonce = self.nonce;
        nonce[11] ^= u8::from(act.flag(2, 3));
        let given = act.word(12).to_be_bytes();
        let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7];
        [&head[..], &nonce, &[17, 0, 0, 0], &port, &given, &address].concat()
    }

    /// As RFC 6886 sections 3.2 and 3.3 draw it.
    fn nat_pmp(&self, act: &Act, opcode: u8) -> Vec<u8> {
        let (result, seconds, epoch, port) = self.fields(act);
        let head = [&[0, opcode, 0, result][..], &epoch].concat();
        match opcode {
            128 => [&head[..], &[198, 51, 100, 7]].concat(),
            _ => [&head[..], &port, &act.word(12).to_be_bytes(), &seconds].concat(),
        }
    }

    /// What bytes grant us, read by their places alone: the port, and for how long.
    fn granted(&self, bytes: &[u8]) -> Option<(u16, Duration)> {
        let ours = self.inside.port().to_be_bytes();
        let (port, seconds) = if self.form == MAX_REQUEST {
            let whole = bytes.len() >= 60 && bytes.len() <= 1_100 && bytes.len().is_multiple_of(4);
            let fits = whole
                && bytes[..2] == [2, 129]
                && bytes[3] == 0
                && bytes[24..36] == self.nonce
                && bytes[36] == 17
                && bytes[40..42] == ours;
            fits.then(|| (&bytes[42..44], &bytes[4..8]))?
        } else {
            let fits = bytes.len() >= 16 && bytes[..4] == [0, 129, 0, 0] && bytes[8..10] == ours;
            fits.then(|| (&bytes[10..12], &bytes[12..16]))?
        };
        let port = u16::from_be_bytes(port.try_into().expect("two bytes"));
        let life = u32::from_be_bytes(seconds.try_into().expect("four bytes"));
        let life = Duration::from_secs(life.into()).min(DAY);
        (port != 0 && life >= APART).then_some((port, life))
    }

    fn answer(&mut self, bytes: &[u8]) {
        let (before, held) = (format!("{:?}", self.client), self.client.lease(self.now));
        let granted = self.granted(bytes);
        let taken = self.client.handle_answer(self.now, bytes);
        let lease = self.client.lease(self.now);
        story(|| format!("{:?} {taken} {bytes:02x?} {:?}", self.now, self.client));
        assert!(!(self.ended && taken && lease.is_some()), "a lease after the end");
        if !taken {
            assert_eq!(before, format!("{:?}", self.client), "not taken, and yet changed");
            assert!(!self.waits || granted.is_none(), "a good answer was not taken");
            return;
        }
        match (granted, lease) {
            (Some((port, life)), Some(lease)) => {
                assert_eq!((lease.port, lease.until), (port, self.now.after(life)));
            }
            (Some(_), None) => assert!(self.ended, "nothing came of a good answer"),
            (None, _) => assert!(is_no_more(lease, held), "{lease:?} of nothing"),
        }
        self.leased = lease.is_some();
        (self.waits, self.silent) = (false, 0);
        // From the older version on another protocol is asked in, at once and only once.
        let older = self.form == MAX_REQUEST && bytes[0] == 0;
        if let Some((_, wait)) = &mut self.asked {
            *wait = if older { Duration::ZERO } else { APART.min(*wait) };
        }
        self.judge();
    }

    /// Calls the client, as it wants it or not.
    fn poll(&mut self) {
        let due = self.client.poll_timeout();
        let leased = self.client.lease(self.now).is_some();
        let request = self.client.poll_request(self.now);
        assert_eq!(request.is_some(), due.is_some_and(|due| due <= self.now), "{due:?}");
        let Some(request) = request else { return };
        story(|| format!("{:?} asks {:?}", self.now, self.client));
        let now = self.now;
        if let Some((at, wait)) = self.asked
            && !self.ended
        {
            assert!(now.since(at) >= wait, "after {:?}, not {wait:?}", now.since(at));
        }
        assert!(request.len() == MAX_REQUEST || (request.len() == 12 && self.inside.is_ipv4()));
        assert!(request.len() <= self.form, "back to PCP");
        self.form = request.len();
        if core::mem::replace(&mut self.leased, leased) && !leased {
            self.silent = 0;
        }
        let doubled = FIRST * (1 << self.silent.min(16));
        self.asked = Some((now, if leased { APART } else { doubled.min(SELDOM) }));
        (self.silent, self.waits) = (self.silent + 1, !self.ended);
        assert_eq!(self.client.poll_request(now), None, "asks twice");
        self.judge();
    }

    /// Its next time is ahead, and not too far.
    fn judge(&self) {
        match self.client.poll_timeout() {
            Some(due) => {
                assert!(!self.ended, "ended, and yet due");
                assert!(due.since(self.now) <= DAY, "{:?} away", due.since(self.now));
            }
            None => assert!(self.ended, "it will never ask again"),
        }
    }
}

/// Whether a lease is no more than the one before.
fn is_no_more(lease: Option<Lease>, before: Option<Lease>) -> bool {
    lease.is_none_or(|lease| {
        before.is_some_and(|before| lease.port == before.port && lease.until <= before.until)
    })
}

const HEADS: [[u8; 4]; 2] = [[0, 0x10, 0x92, 7], [1, 0x10, 0x92, 9]];

/// An act at a time, with flags and result, for so many seconds, at the box's second.
fn told(act: u8, time: u8, flags: u8, result: u8, seconds: u16, epoch: u8) -> [u8; 16] {
    let [high, low] = seconds.to_be_bytes();
    [act, time, flags, result, 0, 0, high, low, 0, 0, 0, epoch, 0x9c, 0x40, 0, 0]
}

/// Each life that a lease can have.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let ask = told(0, 0, 0, 0, 0, 0);
    // A time of 4n + 3 passes 300 n seconds, one of 4n + 2 2 n seconds.
    let lives: [&[[u8; 16]]; 12] = [
        // Granted, renewed, and given back.
        &[ask, told(1, 4, 4, 0, 7_200, 9), told(1, 59, 4, 0, 7_200, 9), told(6, 7, 0, 1, 0, 0)],
        &[ask, told(1, 0, 4, 0, 4, 9), told(1, 10, 4, 0, 5, 9), told(1, 255, 4, 0, 60, 9)],
        // Refused, soon and long, and then granted.
        &[ask, told(1, 0, 4, 136, 30, 9), told(1, 66, 4, 130, 0, 9), told(1, 27, 4, 0, 600, 9)],
        // A box that speaks NAT-PMP alone, asked in it.
        &[ask, told(2, 0, 4, 129, 0, 9), told(2, 0, 4, 0, 7_200, 9), told(6, 7, 0, 1, 0, 0)],
        &[ask, told(2, 0, 4, 129, 0, 9), told(2, 0, 4, 131, 0, 9), told(2, 66, 4, 0, 600, 9)],
        // The box starts anew, and says so again and again.
        &[
            ask,
            told(1, 4, 4, 0, 7_200, 90),
            told(3, 7, 4, 0, 0, 90),
            told(3, 7, 0, 0, 0, 1),
            told(3, 6, 0, 0, 0, 90),
            told(3, 6, 0, 0, 0, 1),
            told(1, 6, 0, 0, 600, 2),
        ],
        &[
            ask,
            told(2, 0, 4, 129, 0, 9),
            told(2, 0, 4, 0, 7_200, 90),
            told(4, 7, 0, 0, 0, 1),
            told(4, 6, 0, 0, 0, 90),
        ],
        // Ended while a request is out, whose answer comes then; ended before anything was said.
        &[ask, told(6, 4, 0, 1, 0, 0), told(1, 4, 4, 0, 7_200, 9), told(6, 4, 0, 1, 0, 0)],
        &[told(6, 0, 32, 1, 0, 0), told(1, 4, 4, 0, 7_200, 9), told(3, 4, 0, 0, 0, 1)],
        // Answers that are not ours, changed ones, repeated ones, and any bytes.
        &[ask, told(1, 0, 12, 0, 600, 9), told(1, 0, 20, 0, 600, 9), told(1, 0, 6, 0, 600, 9)],
        &[ask, told(1, 0, 4, 0, 600, 9), told(7, 43, 0, 0, 0, 0), told(7, 43, 1, 0, 0, 0)],
        &[ask, told(5, 0, 2, 129, 0, 0), told(5, 255, 129, 0, 1, 0), told(2, 0, 0, 0, 9, 9)],
    ];
    let of = |head: &[u8; 4], life: &&[[u8; 16]]| [&head[..], &life.concat()].concat();
    HEADS.iter().flat_map(|head| lives.iter().map(move |life| of(head, life))).collect()
}
