//! A thermostat: the target, a room that slowly follows it, and the pages that show them.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` (`/style.css`, `/script.js`) | the page; nothing in it comes from elsewhere |
//! | `GET /api` | `{"room":19.2,"target":20.0,"heating":true,"min":5.0,"max":30.0}` |
//! | `POST` or `PUT /api/target` with `{"target":22.5}` | the new state, or why not |
//!
//! It is the thermostat of `genkan accept --thermostat`, with the same pages, in integers: this
//! processor has no floating-point unit. It knows neither Genkan nor the network.

use core::fmt::Write as _;

use crate::http::{Answer, Body, Request};

/// Temperatures in thousandths of °C.
type Celsius = i32;

const DEGREE: Celsius = 1_000;
const TENTH: Celsius = 100;
/// Lowest target.
const MIN: Celsius = 5 * DEGREE;
/// Highest target.
const MAX: Celsius = 30 * DEGREE;
/// How far below the target the room may fall before the heating starts.
const HYSTERESIS: Celsius = TENTH;
/// What a second leaves of the difference to the target: e^(-1/60), in 65,536ths. After a minute the
/// room has come about two thirds of the way.
const REMAINS: i64 = 64_453;
/// Nothing is left of it then, in seconds.
const SETTLED: u64 = 1_200;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

const PAGE: &str = include_str!("../../cli/src/thermostat/page.html");
const STYLE: &str = include_str!("../../cli/src/thermostat/style.css");
const SCRIPT: &str = include_str!("../../cli/src/thermostat/script.js");

/// As it stands in JSON.
const NOT_A_TARGET: &str = r#"the body must be {\"target\": number}"#;

/// A target that is not accepted.
#[derive(Clone, Copy, PartialEq, Debug)]
enum BadTarget {
    /// The body is not `{"target": number}`.
    NotATarget,
    /// Outside of [`MIN`] to [`MAX`].
    OutOfRange,
}

/// The thermostat. Its times are microseconds since the start.
#[derive(Clone, Debug)]
pub struct Thermostat {
    target: Celsius,
    /// The room's temperature when the target was last set, and when that was.
    room: Celsius,
    since: u64,
}

impl Thermostat {
    /// As it comes from the factory.
    pub const fn new() -> Self {
        Self { target: 20 * DEGREE, room: 19_200, since: 0 }
    }

    /// Answers a request.
    pub fn answer(&mut self, now: u64, request: &Request<'_>) -> Answer {
        let page = |kind, text| Answer { status: 200, kind, body: Body::Fixed(text) };
        match (request.method, request.path) {
            ("GET" | "HEAD", "/") => page(HTML, PAGE),
            ("GET" | "HEAD", "/style.css") => page(CSS, STYLE),
            ("GET" | "HEAD", "/script.js") => page(JAVASCRIPT, SCRIPT),
            ("GET" | "HEAD", "/api") => self.state(now),
            ("POST" | "PUT", "/api/target") if !is_json(request.kind) => {
                error(415, "the body must be application/json")
            }
            ("POST" | "PUT", "/api/target") => match self.set(now, request.body) {
                Ok(()) => self.state(now),
                Err(BadTarget::NotATarget) => error(400, NOT_A_TARGET),
                Err(BadTarget::OutOfRange) => error(422, "that is not between 5 and 30 °C"),
            },
            (_, "/" | "/style.css" | "/script.js" | "/api" | "/api/target") => {
                error(405, "not with this method")
            }
            _ => error(404, "there is no such page"),
        }
    }

    /// The room approaches the target exponentially.
    fn room(&self, now: u64) -> Celsius {
        let seconds = now.saturating_sub(self.since) / 1_000_000;
        if seconds >= SETTLED {
            return self.target;
        }
        // In millionths, so that rounding does not add up.
        let difference = i64::from(self.room - self.target) * 1_000;
        let left = (0..seconds).fold(difference, |left, _| left * REMAINS / 65_536);
        self.target + i32::try_from(left / 1_000).unwrap_or(0)
    }

    /// The state as the page reads it.
    fn state(&self, now: u64) -> Answer {
        let room = self.room(now);
        let heating = room < self.target - HYSTERESIS;
        let [room, target, min, max] = [room, self.target, MIN, MAX].map(Tenths);
        let mut text = heapless::String::new();
        // There is room for the longest.
        let _ = write!(
            text,
            r#"{{"room":{room},"target":{target},"heating":{heating},"min":{min},"max":{max}}}"#
        );
        Answer { status: 200, kind: JSON, body: Body::Made(text) }
    }

    /// Takes the target from a request's body; it is rounded to tenths.
    fn set(&mut self, now: u64, body: &[u8]) -> Result<(), BadTarget> {
        let target = parse(body).ok_or(BadTarget::NotATarget)?;
        let target = Tenths(target).rounded();
        if !(MIN..=MAX).contains(&target) {
            return Err(BadTarget::OutOfRange);
        }
        self.room = self.room(now);
        self.since = now;
        self.target = target;
        Ok(())
    }
}

/// A temperature with one decimal.
#[derive(Clone, Copy, Debug)]
struct Tenths(Celsius);

impl Tenths {
    const fn rounded(self) -> Celsius {
        (self.0 + TENTH / 2 * self.0.signum()) / TENTH * TENTH
    }
}

impl core::fmt::Display for Tenths {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let tenths = self.rounded() / TENTH;
        write!(f, "{}.{}", tenths / 10, (tenths % 10).abs())
    }
}

/// The number of `{"target": number}`, in thousandths and cut off to those a tenth's rounding can
/// see. Exponents are not understood; what is too large stays too large.
fn parse(body: &[u8]) -> Option<Celsius> {
    let fields = str::from_utf8(body).ok()?.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let value = fields.strip_prefix(r#""target""#)?.trim_start().strip_prefix(':')?.trim();
    let (sign, digits) = value.strip_prefix('-').map_or((1, value), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(a, b)| (a, Some(b)));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !part.is_none_or(is_number) {
        return None;
    }
    let whole = whole.parse::<i32>().unwrap_or(i32::MAX).saturating_mul(DEGREE);
    let part = part.unwrap_or("0").bytes().chain(*b"000").take(3);
    let part = part.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    // Far enough from the ends for any rounding.
    Some(sign * whole.saturating_add(part).min(1_000 * DEGREE))
}

fn is_json(kind: &str) -> bool {
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON))
}

fn error(status: u16, message: &str) -> Answer {
    let mut text = heapless::String::new();
    // There is room for the longest.
    let _ = write!(text, r#"{{"error":"{message}"}}"#);
    Answer { status, kind: JSON, body: Body::Made(text) }
}
