//! Target `stream`: bytes of a TCP connection, in pieces of any size.
//!
//! ```text
//! offset  len  field
//!      0    1  the machine: 0 server, 1 acceptor, 2 issuer (modulo 3)
//!      1    7  lengths of the pieces, used again and again; 0 = up to the end
//!      8       records of 8 bytes, one frame each:
//!              what 1 | how it is changed 1 | where 2 | with what 1 | a length's lie 1 | more 2
//! ```
//!
//! The frames are first given to a machine one by one, so that the other end can react to what it
//! says. Then a machine made just the same gets the same bytes in pieces, and must say the same.

use genkan_core::wire::Kind;
use genkan_core::wire::message::{Role, ToServer};
use genkan_core::{
    Instant, IssuerConfig, Machine, RequestTransport, SocketId, StreamId, StreamState, Target,
};
use genkan_tests::device::register;
use genkan_tests::evil::{Desk, Evil, sa};

use crate::far::{Far, SERVER, certificate};
use crate::record::{Record, mar, split};
use crate::watch::Watch;
use crate::{acceptor, issuer};

/// No input holds more frames.
const FRAMES: usize = 24;

/// A machine with one open stream, and who watches it.
struct Line<M> {
    machine: M,
    watch: Watch,
    stream: StreamId,
}

/// Runs one input.
pub fn stream(data: &[u8]) {
    let (head, records) = split::<8, 8>(data, FRAMES);
    let records: Vec<_> = records.collect();
    match head.below(0, 3) {
        0 => {
            let key = Desk::default().key;
            let (mut evil, mut waiting) = (Evil::new(3, key.public()), false);
            compare(&head, &records, server, |record, said| {
                if let Some(message) = said.filter(|said| said[0] == Kind::Response as u8)
                    && core::mem::take(&mut waiting)
                {
                    evil.finish(message);
                }
                to_server(&mut evil, record, &mut waiting)
            });
        }
        1 => {
            let mut far = Far::new(&certificate());
            compare(&head, &records, lamp, |record, said| to_equipment(&mut far, record, said));
        }
        _ => {
            let mut far = Far::new(&certificate());
            compare(&head, &records, phone, |record, said| to_equipment(&mut far, record, said));
        }
    }
}

fn server() -> Line<genkan_tests::evil::DeskServer> {
    let Desk { mut server, now, .. } = Desk::default();
    let from = sa("192.0.2.1:5000");
    let stream = server.handle_accept(now, SocketId::LISTENER, from).expect("room for a stream");
    let mut watch = Watch::new(now, true);
    watch.accepted(stream, from);
    watch.drain(&mut server);
    Line { machine: server, watch, stream }
}

/// An acceptor whose datagrams nobody answers, so that it turns to TCP.
fn lamp() -> Line<acceptor::Lamp> {
    let now = Instant::from_millis(5_000_000);
    let mut machine = acceptor::lamp(now, 2, |config| config.admission.open = true).0;
    machine.restore_certificate(&certificate()).expect("a good certificate");
    let mut watch = Watch::new(now, false);
    watch.pass(&mut machine, core::time::Duration::from_secs(9), false, |_, _, _| ());
    opened(machine, watch)
}

/// An issuer that asks over TCP.
fn phone() -> Line<issuer::Phone> {
    let now = Instant::from_millis(5_000_000);
    let adjust = |config: &mut IssuerConfig| config.transport = RequestTransport::Stream;
    let mut machine = issuer::phone(now, 2, adjust).0;
    machine.restore_certificate(&certificate()).expect("a good certificate");
    let target = Target::new(genkan_core::StaticKey::from_secret([7; 32]).id());
    machine.request(now, &target).expect("a free slot");
    machine.handle_bound(now, SocketId::LISTENER, Some(sa("0.0.0.0:40000")));
    opened(machine, Watch::new(now, false))
}

fn opened<M: Machine<Event: core::fmt::Debug>>(mut machine: M, mut watch: Watch) -> Line<M> {
    watch.drain(&mut machine);
    let stream = watch.stream(0).expect("it turns to TCP");
    assert_eq!(watch.streams[&stream].remote, sa(SERVER));
    watch.state(&mut machine, stream, StreamState::Connected);
    Line { machine, watch, stream }
}

/// A frame's message from an equipment to the server.
fn to_server(evil: &mut Evil, record: &Record<8>, waiting: &mut bool) -> Vec<u8> {
    match record.below(0, 8) {
        0 => {
            let mut request = vec![Kind::CertificateRequest as u8, 0];
            request.resize(210, 0);
            request
        }
        what @ (1 | 2) => {
            *waiting = true;
            evil.hello(if what == 1 { Role::Acceptor } else { Role::Issuer })
        }
        3 => evil.transport(&register(evil)),
        4 => evil.transport(&ToServer::Confirm),
        5 => evil.keepalive(None),
        6 => evil.raw(record.tail(6)),
        _ => record.tail(1).to_vec(),
    }
}

/// A frame's message from the server to an equipment.
fn to_equipment(far: &mut Far, record: &Record<8>, said: Option<&[u8]>) -> Vec<u8> {
    let message = match record.below(0, 6) {
        0 | 1 => said.and_then(|said| far.serve(said)),
        2 => said.and_then(|said| far.cookie(said)),
        3 => said.and_then(Far::hint),
        4 => Some(far.says(record.tail(6))),
        _ => None,
    };
    message.unwrap_or_else(|| record.tail(1).to_vec())
}

/// Everything that a machine said and told, as text.
fn said<M: Machine>(outs: &[crate::watch::Out<M::Event>]) -> Vec<String>
where
    M::Event: core::fmt::Debug,
{
    outs.iter().map(|out| format!("{out:?}")).collect()
}

fn compare<M: Machine>(
    head: &Record<8>,
    records: &[Record<8>],
    make: impl Fn() -> Line<M>,
    mut compose: impl FnMut(&Record<8>, Option<&[u8]>) -> Vec<u8>,
) where
    M::Event: core::fmt::Debug,
{
    let mut line = make();
    let mut last = line.watch.drain(&mut line.machine).frames.pop();
    let (mut bytes, mut whole) = (Vec::new(), Vec::new());
    for record in records {
        let mut message = compose(record, last.take().as_ref().map(|(_, said)| &said[..]));
        mar(&mut message, record.byte(1), record.word(2), record.byte(4));
        let len = u16::try_from(message.len()).expect("at most a datagram") ^ lie(record);
        let frame = [&len.to_be_bytes()[..], &message].concat();
        let outs = line.watch.feed(&mut line.machine, line.stream, &frame);
        last = outs.iter().rev().find_map(|out| out.frames.last().cloned());
        whole.extend(said::<M>(&outs));
        bytes.extend(frame);
        if !line.watch.streams.contains_key(&line.stream) {
            break;
        }
    }
    let mut line = make();
    line.watch.drain(&mut line.machine);
    let (mut rest, mut pieces) = (&bytes[..], Vec::new());
    for turn in 0.. {
        let len = match head.byte(1 + turn % 7) {
            0 => rest.len(),
            len => usize::from(len).min(rest.len()),
        };
        let (piece, behind) = rest.split_at(len);
        pieces.extend(said::<M>(&line.watch.feed(&mut line.machine, line.stream, piece)));
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(pieces, whole, "another split, another word");
}

/// What is wrong with a length: nothing, mostly.
fn lie(record: &Record<8>) -> u16 {
    let lie = record.byte(5);
    if lie & 0x80 == 0 { 0 } else { 1 << (lie & 15) }
}

/// Good conversations with each machine, whole and in small pieces.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let frames: [&[u8]; 3] = [&[0, 1, 4, 3, 5, 6, 5], &[0, 0, 0, 4, 0], &[0, 0, 4, 0, 4]];
    let mut seeds = Vec::new();
    for (machine, frames) in (0..).zip(frames) {
        for pieces in [[0; 7], [1; 7], [3, 200, 1, 90, 2, 255, 7]] {
            let mut seed = vec![machine];
            seed.extend(pieces);
            seed.extend(frames.iter().flat_map(|what| [*what, 0, 0, 0, 0, 0, 0, 5]));
            seeds.push(seed);
        }
    }
    seeds
}
