//! As much of an HTTP/1.1 server as a small device needs: one request for each stream.
//!
//! [`Visit`] is fed what arrives and gives what shall leave, in whatever pieces the stream takes them.
//! Heads are parsed by `httparse`. A request, head and body together, must fit into [`LONGEST`] bytes;
//! answers are text that is in the program or was just made.

use core::fmt::Write as _;

use heapless::{String, Vec};
use httparse::{EMPTY_HEADER, Status};

/// Longest request in bytes; browsers send 400 to 700.
pub const LONGEST: usize = 1_024;
/// Longest text that is made for an answer, in bytes.
pub const LONGEST_MADE: usize = 128;
/// A browser sends about 15 headers.
const MOST_HEADERS: usize = 32;

/// Sent with every answer: nothing may be loaded from elsewhere, framed, guessed or kept.
const HEADERS: &str = "Content-Security-Policy: default-src 'none'; style-src 'self'; \
     script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'\r\n\
     X-Content-Type-Options: nosniff\r\n\
     Referrer-Policy: no-referrer\r\n\
     Cache-Control: no-store\r\n\
     Connection: close\r\n\r\n";
/// Those, the status, content type and length.
const LONGEST_HEAD: usize = HEADERS.len() + 128;

/// A request, as its service sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, say.
    pub method: &'a str,
    /// With its query, if it has one.
    pub path: &'a str,
    /// The content type; empty without one.
    pub kind: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The content type.
    pub kind: &'static str,
    /// The body.
    pub body: Body,
}

/// An answer's body.
#[derive(Clone, Debug)]
pub enum Body {
    /// It was made.
    Made(String<LONGEST_MADE>),
    /// It is in the program.
    Fixed(&'static str),
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Fixed(text) => text.as_bytes(),
            Self::Made(text) => text.as_bytes(),
        }
    }
}

/// One request and its answer.
#[derive(Debug)]
pub struct Visit {
    request: Vec<u8, LONGEST>,
    head: String<LONGEST_HEAD>,
    body: Body,
    /// Of head and body together.
    sent: usize,
}

/// What has arrived so far.
enum Heard<'a> {
    /// More must come.
    Part,
    Whole(Request<'a>),
    /// Nothing that can be served, with the status that says so.
    Bad(u16),
}

impl Visit {
    /// Nothing has arrived yet. All zeros, so that a `static` of it takes no flash.
    pub const fn new() -> Self {
        let body = Body::Made(String::new());
        Self { request: Vec::new(), head: String::new(), body, sent: 0 }
    }

    /// Makes it as new.
    pub fn clear(&mut self) {
        self.request.clear();
        self.head.clear();
        self.body = Body::Fixed("");
        self.sent = 0;
    }

    /// Takes in what has arrived, and has it answered when it is a whole request.
    pub fn hear(&mut self, bytes: &[u8], serve: impl FnOnce(&Request<'_>) -> Answer) {
        if self.is_answered() {
            // One request is all.
            return;
        }
        let fits = self.request.extend_from_slice(bytes).is_ok();
        let (answer, bodiless) = match heard(&self.request) {
            Heard::Whole(request) => (serve(&request), request.method == "HEAD"),
            Heard::Part if fits => return,
            Heard::Part => (refusal(413), false),
            Heard::Bad(status) => (refusal(status), false),
        };
        let length = answer.body.bytes().len();
        // There is room for the longest.
        let _ = write!(
            self.head,
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {length}\r\n{HEADERS}",
            answer.status,
            reason(answer.status),
            answer.kind,
        );
        self.body = if bodiless { Body::Fixed("") } else { answer.body };
    }

    /// What shall leave next, in one piece of the rest; empty when there is nothing (yet).
    pub fn pending(&self) -> &[u8] {
        match self.head.as_bytes().get(self.sent..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => self.body.bytes().get(self.sent - self.head.len()..).unwrap_or_default(),
        }
    }

    /// So many bytes of it have left.
    pub fn sent(&mut self, length: usize) {
        self.sent += length;
    }

    /// Whether the answer has left to its end.
    pub fn is_over(&self) -> bool {
        self.is_answered() && self.pending().is_empty()
    }

    fn is_answered(&self) -> bool {
        !self.head.is_empty()
    }
}

fn heard(bytes: &[u8]) -> Heard<'_> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Heard::Part,
        Err(httparse::Error::TooManyHeaders) => return Heard::Bad(431),
        Err(_) => return Heard::Bad(400),
    };
    let mut length = 0;
    let mut kind = "";
    for header in request.headers.iter() {
        let value = str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("Content-Length") {
            let Ok(number) = value.parse::<usize>() else { return Heard::Bad(400) };
            length = number;
        } else if header.name.eq_ignore_ascii_case("Content-Type") {
            kind = value;
        } else if header.name.eq_ignore_ascii_case("Transfer-Encoding") {
            return Heard::Bad(411);
        }
    }
    if length > LONGEST.saturating_sub(head) {
        return Heard::Bad(413);
    }
    let (Some(method), Some(path)) = (request.method, request.path) else { return Heard::Bad(400) };
    let Some(body) = bytes.get(head..head + length) else { return Heard::Part };
    Heard::Whole(Request { method, path, kind, body })
}

fn refusal(status: u16) -> Answer {
    Answer { status, kind: "text/plain; charset=utf-8", body: Body::Fixed(reason(status)) }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        _ => "Bad Request",
    }
}
