//! The firmware's web service, which needs no board: requests in pieces, odd ones, and the model.

use http::{LONGEST, Visit};
use thermostat::Thermostat;

#[path = "../../../adapters/firmware/src/http.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the firmware's own")]
mod http;
#[path = "../../../adapters/firmware/src/thermostat.rs"]
#[allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "the firmware's own"
)]
mod thermostat;

const SECOND: u64 = 1_000_000;

/// The whole answer to a request that comes in pieces of so many bytes; empty when there is none.
#[expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]
fn answer(model: &mut Thermostat, now: u64, request: &[u8], piece: usize) -> String {
    let mut visit = Visit::new();
    for piece in request.chunks(piece) {
        visit.hear(piece, |request| model.answer(now, request));
    }
    let mut answer = Vec::new();
    while !visit.is_over() && !visit.pending().is_empty() {
        // As a stream with little room takes it.
        let taken = visit.pending().len().min(7);
        answer.extend_from_slice(&visit.pending()[..taken]);
        visit.sent(taken);
    }
    String::from_utf8(answer).unwrap()
}

fn get(model: &mut Thermostat, now: u64, path: &str) -> String {
    answer(model, now, format!("GET {path} HTTP/1.1\r\nHost: it\r\n\r\n").as_bytes(), 999)
}

fn set(model: &mut Thermostat, now: u64, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST /api/target HTTP/1.1\r\nHost: it\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    answer(model, now, request.as_bytes(), 10)
}

fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[test]
fn pages_come_whole_however_the_request_is_cut() {
    let mut model = Thermostat::new();
    for (path, part) in [("/", "<title>"), ("/style.css", "--"), ("/script.js", "fetch(")] {
        for piece in [1, 2, 3, 50, 999] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: it\r\n\r\n");
            let answer = answer(&mut model, 0, request.as_bytes(), piece);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
            assert!(head.contains("\r\nContent-Security-Policy: default-src 'none';"), "{head}");
            assert!(body.contains(part), "{path} in pieces of {piece}");
        }
    }
    let head = answer(&mut model, 0, b"HEAD / HTTP/1.1\r\n\r\n", 999);
    assert!(head.ends_with("\r\n\r\n") && status(&head) == 200, "{head}");
}

#[test]
fn nonsense_is_told_apart() {
    let mut model = Thermostat::new();
    for (path, expected) in [("/../secret", 404), ("/api/target", 405), ("/x y", 400)] {
        assert_eq!(status(&get(&mut model, 0, path)), expected, "{path}");
    }
    let mut request = |head: &str| {
        let request = format!("POST /api/target HTTP/1.1\r\n{head}\r\n\r\n");
        status(&answer(&mut model, 0, request.as_bytes(), 999))
    };
    assert_eq!(request("Content-Length: 0"), 415);
    assert_eq!(request("Content-Type: application/json\r\nContent-Length: 2000"), 413);
    assert_eq!(request("Content-Type: application/json\r\nContent-Length: -1"), 400);
    assert_eq!(request("Content-Type: application/json\r\nTransfer-Encoding: chunked"), 411);
    assert_eq!(request(&"a: b\r\n".repeat(40)), 431);
    assert_eq!(request(&format!("a: {}", "b".repeat(LONGEST))), 413);
    assert_eq!(request("Content-Type: application/json\r\nContent-Length: 5"), 0, "more must come");
    assert_eq!(status(&answer(&mut model, 0, b"\x16\x03\x01\x02\x00", 1)), 400);
}

#[test]
fn the_room_follows_the_target() {
    let mut model = Thermostat::new();
    let state = get(&mut model, 0, "/api");
    let first = r#"{"room":19.2,"target":20.0,"heating":true,"min":5.0,"max":30.0}"#;
    assert!(state.ends_with(first), "{state}");
    let set_state = set(&mut model, 0, r#" { "target" : 22.5 } "#);
    assert!(set_state.contains(r#""room":19.2,"target":22.5,"heating":true"#), "{set_state}");
    // 22.5 - 3.3 / e
    let minute = get(&mut model, 60 * SECOND, "/api");
    assert!(minute.contains(r#""room":21.3,"#), "{minute}");
    let later = get(&mut model, 3_600 * SECOND, "/api");
    assert!(later.contains(r#""room":22.5,"target":22.5,"heating":false"#), "{later}");
    let colder = set(&mut model, 3_600 * SECOND, r#"{"target":5}"#);
    assert!(colder.contains(r#""room":22.5,"target":5.0,"heating":false"#), "{colder}");
}

#[test]
fn only_a_target_within_the_range_is_taken() {
    let mut model = Thermostat::new();
    for good in ["5", "30", "30.04", "21.55", "4.96"] {
        assert_eq!(status(&set(&mut model, 0, &format!(r#"{{"target":{good}}}"#))), 200, "{good}");
    }
    assert!(get(&mut model, 0, "/api").contains(r#""target":5.0"#), "4.96 was rounded");
    for far in ["4.9", "30.1", "-21", "99999999999999999999", "-99999999999999999999"] {
        assert_eq!(status(&set(&mut model, 0, &format!(r#"{{"target":{far}}}"#))), 422, "{far}");
    }
    for bad in [
        "",
        "{}",
        "21",
        "[21]",
        r#"{"target":"21"}"#,
        r#"{"target":null}"#,
        r#"{"target":NaN}"#,
        r#"{"target":21,"more":1}"#,
        r#"{"target":.5}"#,
        r#"{"target":5.}"#,
        r#"{"target":--5}"#,
        "\u{0}",
    ] {
        assert_eq!(status(&set(&mut model, 0, bad)), 400, "{bad}");
    }
    assert!(get(&mut model, 0, "/api").contains(r#""target":5.0"#), "the last good one");
}
