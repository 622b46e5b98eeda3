//! Byte streams over a session, as applications use them.

use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use genkan_std::{Stream, StreamListener, splice};

use crate::lab::{Lab, PATIENCE};

const MEBI: usize = 1 << 20;

/// Bytes that tell if some are lost, repeated or exchanged.
fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&(state >> 16).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Answers each stream with what it sent, after its end.
fn echo_after_end(listener: StreamListener) {
    thread::spawn(move || {
        while let Ok(mut stream) = listener.accept() {
            thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(&all).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
        }
    });
}

fn exchange(mut stream: Stream, seed: u64, length: usize) {
    let sent = pattern(seed, length);
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back.len(), sent.len());
    assert!(back == sent, "other bytes came back");
}

#[test]
fn five_mebibytes_go_there_and_back_with_half_close() {
    let lab = Lab::new();
    echo_after_end(lab.acceptor.listen(7).unwrap());
    let session = lab.connect();
    exchange(session.open(7).unwrap(), 1, 5 * MEBI);
    let traffic = session.traffic();
    assert!(traffic.bytes_sent > 5 * MEBI as u64 && traffic.bytes_received > 5 * MEBI as u64);
    session.close();
}

#[test]
fn several_streams_run_at_once_and_directions_are_independent() {
    let lab = Lab::new();
    echo_after_end(lab.acceptor.listen(7).unwrap());
    let session = lab.connect();
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let session = session.clone();
            thread::spawn(move || {
                exchange(session.open(7).unwrap(), number, 300_000 + 1_000 * number as usize);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // More streams after one another than there are slots.
    for number in 0..200 {
        exchange(session.open(7).unwrap(), number, 100);
    }
}

#[test]
fn a_writer_waits_for_a_reader_that_does_not_read() {
    let lab = Lab::new();
    let listener = lab.acceptor.listen(9).unwrap();
    let session = lab.connect();
    let mut stream = session.open(9).unwrap();
    let mut theirs = listener.accept_within(PATIENCE).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(300)));
    let piece = pattern(3, 64 << 10);
    let mut taken = 0;
    let error = loop {
        match stream.write(&piece) {
            Ok(count) => taken += count,
            Err(error) => break error,
        }
        assert!(taken < 4 * MEBI, "nothing holds the writer back");
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    stream.set_write_timeout(None);
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).unwrap();
        all.len()
    });
    stream.write_all(&piece).unwrap();
    stream.wait_delivered(Some(PATIENCE)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(reader.join().unwrap(), taken + piece.len());
}

#[test]
fn refusal_reset_timeout_and_the_sessions_end_have_their_own_errors() {
    let lab = Lab::new();
    let listener = lab.acceptor.listen(9).unwrap();
    let session = lab.connect();
    assert_eq!(session.open(10).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(session.open(0).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(lab.acceptor.listen(9).unwrap_err().kind(), ErrorKind::AddrInUse);

    let mut stream = session.open(9).unwrap();
    let theirs = listener.accept_within(PATIENCE).unwrap();
    assert_eq!((theirs.port(), theirs.peer()), (9, lab.issuer_id()));
    stream.set_read_timeout(Some(Duration::from_millis(30)));
    assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
    stream.set_read_timeout(None);
    theirs.abort();
    assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);

    let mut stream = session.open(9).unwrap();
    let mut theirs = listener.accept_within(PATIENCE).unwrap();
    let waiting = thread::spawn(move || theirs.read(&mut [0; 8]).unwrap_err().kind());
    session.close_within(Duration::ZERO);
    assert_eq!(waiting.join().unwrap(), ErrorKind::ConnectionAborted);
    assert!(stream.write(b"late").is_err());
    assert_eq!(session.open(9).unwrap_err().kind(), ErrorKind::NotConnected);

    drop(listener);
    let session = lab.connect();
    assert_eq!(session.open(9).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn closing_in_order_loses_no_byte() {
    let lab = Lab::new();
    let listener = lab.acceptor.listen(9).unwrap();
    for number in 0..5 {
        let session = lab.connect();
        let mut stream = session.open(9).unwrap();
        let mut theirs = listener.accept_within(PATIENCE).unwrap();
        let sent = pattern(number, 50_000);
        stream.write_all(&sent).unwrap();
        drop(stream);
        drop(session);
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).unwrap();
        assert!(all == sent, "{} of {} bytes", all.len(), sent.len());
    }
}

#[test]
fn a_forwarder_joins_tcp_connections_and_streams() {
    let lab = Lab::new();
    let listener = lab.acceptor.listen(80).unwrap();
    // Behind the acceptor, a service that speaks TCP and answers after the end of the request.
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let inside = service.local_addr().unwrap();
    thread::spawn(move || {
        let (mut socket, _) = service.accept().unwrap();
        let mut all = Vec::new();
        socket.read_to_end(&mut all).unwrap();
        socket.write_all(&all).unwrap();
    });
    thread::spawn(move || {
        let stream = listener.accept().unwrap();
        splice(&TcpStream::connect(inside).unwrap(), &stream).unwrap();
    });
    let session = lab.connect();
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let outside = front.local_addr().unwrap();
    let forwarder = thread::spawn(move || {
        let (socket, _) = front.accept().unwrap();
        splice(&socket, &session.open(80).unwrap()).unwrap()
    });
    let mut client = TcpStream::connect(outside).unwrap();
    let sent = pattern(5, 400_000);
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    assert!(back == sent);
    let spliced = forwarder.join().unwrap();
    assert_eq!((spliced.sent, spliced.received), (400_000, 400_000));
}
