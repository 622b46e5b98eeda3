//! The thermostat's web server.

use core::net::{Ipv4Addr, SocketAddr};
use std::io::{self, Read};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::json;
use tiny_http::{Header, Method, Request, Response, Server};

use super::model::{BadTarget, MAX, MIN, Model};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Longest body of a request in bytes.
const LONGEST: u64 = 256;
/// Sent with every answer: nothing may be loaded from elsewhere, framed, guessed or kept.
const HEADERS: [(&str, &str); 4] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
];

/// A running thermostat; it stops when dropped.
pub(crate) struct Thermostat {
    server: Arc<Server>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Thermostat {
    /// Starts one on loopback, on a port that the operating system chooses.
    pub(crate) fn start() -> io::Result<Self> {
        let server = Server::http((Ipv4Addr::LOCALHOST, 0)).map_err(io::Error::other)?;
        let server = Arc::new(server);
        let address = server
            .server_addr()
            .to_ip()
            .ok_or_else(|| io::Error::other("the thermostat has no IP address"))?;
        let for_thread = Arc::clone(&server);
        let thread = std::thread::Builder::new()
            .name("thermostat".into())
            .spawn(move || serve(&for_thread))?;
        Ok(Self { server, address, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Thermostat {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(server: &Server) {
    let started = Instant::now();
    let mut model = Model::new();
    for mut request in server.incoming_requests() {
        let answer = answer(&mut model, started, &mut request);
        // The visitor went away: nothing to do about it.
        let _ = request.respond(answer.into_response());
    }
}

/// A status, a content type and a body.
#[derive(Debug, PartialEq)]
struct Answer(u16, &'static str, String);

impl Answer {
    fn json(status: u16, value: &serde_json::Value) -> Self {
        Self(status, "application/json", value.to_string())
    }

    fn error(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "error": message }))
    }

    fn into_response(self) -> Response<io::Cursor<Vec<u8>>> {
        let mut response = Response::from_string(self.2).with_status_code(self.0);
        for (name, value) in HEADERS.into_iter().chain([("Content-Type", self.1)]) {
            if let Ok(header) = Header::from_bytes(name, value) {
                response.add_header(header);
            }
        }
        response
    }
}

fn answer(model: &mut Model, started: Instant, request: &mut Request) -> Answer {
    let now = started.elapsed();
    let page = |kind, content: &str| Answer(200, kind, content.to_owned());
    match (request.method(), request.url()) {
        (Method::Get | Method::Head, "/") => page("text/html; charset=utf-8", PAGE),
        (Method::Get | Method::Head, "/style.css") => page("text/css; charset=utf-8", STYLE),
        (Method::Get | Method::Head, "/script.js") => {
            page("text/javascript; charset=utf-8", SCRIPT)
        }
        (Method::Get | Method::Head, "/api") => Answer::json(200, &model.state(now)),
        (Method::Post, "/api/target") => match body(request) {
            Err(refusal) => refusal,
            Ok(body) => match model.set(now, &body) {
                Ok(()) => Answer::json(200, &model.state(now)),
                Err(BadTarget::NotATarget) => {
                    Answer::error(400, "the body must be {\"target\": number}")
                }
                Err(BadTarget::OutOfRange(target)) => {
                    let message = format!("{target} °C is not between {MIN} and {MAX} °C");
                    Answer::error(422, &message)
                }
            },
        },
        (_, "/" | "/style.css" | "/script.js" | "/api" | "/api/target") => {
            Answer::error(405, "not with this method")
        }
        _ => Answer::error(404, "there is no such page"),
    }
}

fn body(request: &mut Request) -> Result<Vec<u8>, Answer> {
    let is_json = request.headers().iter().any(|header| {
        header.field.equiv("Content-Type")
            && header
                .value
                .as_str()
                .split(';')
                .next()
                .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !is_json {
        return Err(Answer::error(415, "the body must be application/json"));
    }
    let mut body = Vec::new();
    match request.as_reader().take(LONGEST + 1).read_to_end(&mut body) {
        Ok(length) if length as u64 > LONGEST => Err(Answer::error(413, "the body is too long")),
        Ok(_) => Ok(body),
        Err(_) => Err(Answer::error(400, "the body did not arrive")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::http;

    fn get(thermostat: &Thermostat, path: &str) -> http::Reply {
        http::request(thermostat.address(), "GET", path, None).unwrap()
    }

    fn set(thermostat: &Thermostat, body: &str) -> u16 {
        http::request(thermostat.address(), "POST", "/api/target", Some(body)).unwrap().status
    }

    #[test]
    fn the_page_and_its_parts_are_served_and_refer_to_nothing_elsewhere() {
        let thermostat = Thermostat::start().unwrap();
        for (path, part) in [("/", "<title>"), ("/style.css", "--"), ("/script.js", "fetch(")] {
            let reply = get(&thermostat, path);
            assert_eq!(reply.status, 200, "{path}");
            assert!(reply.body.contains(part), "{path}");
            let elsewhere = reply.body.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("://"), "{path} loads something from elsewhere");
        }
        assert_eq!(get(&thermostat, "/../secret").status, 404);
    }

    #[test]
    fn the_target_can_be_read_and_set_and_nonsense_is_told_apart() {
        let thermostat = Thermostat::start().unwrap();
        assert_eq!(set(&thermostat, r#"{"target":23.5}"#), 200);
        let state: serde_json::Value =
            serde_json::from_str(&get(&thermostat, "/api").body).unwrap();
        assert_eq!(state["target"], 23.5);
        assert_eq!(state["heating"], true);
        assert_eq!(set(&thermostat, r#"{"target":31}"#), 422);
        assert_eq!(set(&thermostat, "hot"), 400);
        assert_eq!(set(&thermostat, &"1".repeat(300)), 413);
        assert_eq!(get(&thermostat, "/api/target").status, 405);
    }
}
