//! The little of HTTP/1.1 that the demo speaks: one request per connection, a short answer.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer in bytes.
const LONGEST: u64 = 256 * 1024;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Length of head and body in bytes.
    pub(crate) bytes: usize,
    /// From the call until the first byte of the answer.
    pub(crate) first_byte: Duration,
    /// From the call until the last byte of the answer.
    pub(crate) took: Duration,
}

/// Sends one request to `address` and reads the answer to its end. A `body` is JSON.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> io::Result<Reply> {
    let begin = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if let Some(body) = body {
        let length = body.len();
        text += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
    }
    text += "\r\n";
    text += body.unwrap_or_default();
    stream.write_all(text.as_bytes())?;
    let mut answer = vec![0; 1];
    stream.read_exact(&mut answer)?;
    let first_byte = begin.elapsed();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    let bytes = answer.len();
    let (status, body) = parse(answer)?;
    Ok(Reply { status, body, bytes, first_byte, took: begin.elapsed() })
}

fn parse(answer: Vec<u8>) -> io::Result<(u16, String)> {
    let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let text = String::from_utf8(answer).map_err(|_| bad("the answer is not text"))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| bad("the answer ended early"))?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| bad("the answer is not HTTP/1.1"))?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if !name.eq_ignore_ascii_case("content-length") {
            return None;
        }
        value.trim().parse::<usize>().ok()
    });
    match length {
        Some(length) if length == body.len() => Ok((status, body.to_owned())),
        Some(_) => Err(bad("the answer was cut off")),
        None => Err(bad("the answer states no length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_off_or_foreign_answer_is_an_error() {
        let parse = |text: &str| parse(text.into()).map_err(|error| error.to_string());
        let whole = "HTTP/1.1 200 OK\r\nContent-length: 2\r\n\r\nok";
        assert_eq!(parse(whole), Ok((200, "ok".into())));
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(parse("SSH-2.0-x\r\n\r\n").is_err());
    }
}
