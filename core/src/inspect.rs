//! Looking into captured messages, with the keys that a machine is willing to log.
//!
//! Behind the feature `inspect`, as a TLS library writes a key log: a test, a simulation or a
//! dissector that captured the wire asks the machines for their session roots and opens with them
//! what it captured. A test can also ask whether a call has changed a machine ([`Inspect`]). A
//! device's firmware never enables it.

use crate::StaticKey;
use crate::crypto::keys::{Direction, Root};
use crate::crypto::noise::{Link, Responder};
use crate::id::EquipmentId;
use crate::peer::Peer;
use crate::session::{Header, Session};
use crate::wire::Body as Wire;
use crate::wire::codec::{self, read_body, read_padded_body};
use crate::wire::message::{Hello, Offer, PeerMessage, ToEquipment, ToServer, WholeOffer};
use crate::wire::punch::{Check, Detect, FROM_OTHER_ADDRESS, FROM_OTHER_PORT, MEASUREMENT, REPORT};
use crate::wire::{IK1_OVERHEAD, INITIATION_OVERHEAD, Kind, OFFER_BODY, OFFER_LEN};

/// The secret root of one session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoggedRoot(pub [u8; 32]);

impl core::fmt::Debug for LoggedRoot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LoggedRoot(..)")
    }
}

/// A machine that logs the roots of its sessions.
pub trait KeyLog {
    /// Calls `log` with the root of each session that stands now. Ask after every call of the
    /// machine: a root that was ratcheted past is gone.
    fn roots(&self, log: &mut dyn FnMut(LoggedRoot));
}

/// The roots of an issuer's or acceptor's sessions: with the server, and with its peers.
pub(crate) fn equipment_roots<'p>(
    links: [&Option<Session>; 2],
    peers: impl Iterator<Item = &'p Peer>,
    log: &mut dyn FnMut(LoggedRoot),
) {
    links.into_iter().flatten().for_each(|session| log(LoggedRoot(session.root().0)));
    peers.for_each(|peer| log(LoggedRoot(peer.session.root().0)));
}

/// A machine that shows what it holds, so that a test can see whether a call has changed it.
pub trait Inspect {
    /// Calls `see` with the numbers that make up what only authentic input, the application and time
    /// may change: sessions with their replay windows, registrations, requests, connections,
    /// deadlines. Left out is what anybody's input may change (counters of discards, rate limits,
    /// randomness), and what sending alone changes (counters of sealed messages). Equal states give
    /// equal numbers; of long fields a part is shown.
    fn inspect(&self, see: &mut dyn FnMut(u64));

    /// What it has on its hands now.
    fn pending(&self) -> Pending;
}

/// How many things a machine has on its hands: each needs a deadline of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Pending {
    /// A server's equipments.
    pub clients: usize,
    /// Requests that are under way, or remembered to be answered again.
    pub requests: usize,
    /// Connections between issuer and acceptor that are being opened or closed.
    pub passing: usize,
    /// Connections between issuer and acceptor that stand.
    pub open: usize,
    /// A server's TCP connections.
    pub streams: usize,
}

/// A deadline as a number; 0 = none.
pub(crate) fn time(at: Option<crate::Instant>) -> u64 {
    at.map_or(0, crate::Instant::as_micros)
}

/// Some flags as a number.
pub(crate) fn bits<const N: usize>(flags: [bool; N]) -> u64 {
    flags.into_iter().fold(0, |bits, flag| bits << 1 | u64::from(flag))
}

/// A transport message's body.
#[derive(Debug, PartialEq, Eq)]
pub enum Body<'d> {
    /// From an equipment to its server.
    ToServer(ToServer<'d>),
    /// From a server to an equipment.
    ToEquipment(ToEquipment<'d>),
    /// Control between issuer and acceptor.
    Peer(PeerMessage),
    /// Application data between issuer and acceptor, with its channel byte.
    Payload(u8, &'d [u8]),
}

/// Opens a transport message of any kind under `root`, in place. `None`: not under this root.
#[must_use]
pub fn open<'d>(root: &LoggedRoot, message: &'d mut [u8]) -> Option<Body<'d>> {
    let kind = Kind::of(message).ok()?;
    let direction = if kind.is_downward() { Direction::Down } else { Direction::Up };
    let header = Header::parse(kind, message)?;
    let body = header.open(&Root(root.0).transport(direction), message)?;
    match kind {
        Kind::Transport => read_body(body).map(Body::ToServer),
        Kind::ServerTransport => read_body(body).map(Body::ToEquipment),
        Kind::IssuerTransport | Kind::AcceptorTransport => match body.split_first()? {
            (0, control) => read_body(control).map(Body::Peer),
            (channel, payload) => Some(Body::Payload(*channel, payload)),
        },
        _ => None,
    }
}

/// Opens an Initiation with the server's static key: who sent it, and its payload in `out`.
#[must_use]
pub fn open_initiation<'o>(
    server: &StaticKey,
    message: &[u8],
    out: &'o mut [u8; 1024],
) -> Option<(EquipmentId, Hello<'o>)> {
    let noise = message.get(6..message.len().checked_sub(INITIATION_OVERHEAD - 6)?)?;
    let plain = out.get_mut(..noise.len().checked_sub(IK1_OVERHEAD)?)?;
    let who = Responder::new(Link::Server, server, [1; 32]).read(noise, plain)?;
    Some((EquipmentId(who), read_padded_body(plain)?))
}

/// Opens a sealed offer with the acceptor's static key.
#[must_use]
pub fn open_offer(acceptor: &StaticKey, offer: &[u8]) -> Option<(EquipmentId, Offer)> {
    let offer: &[u8; OFFER_LEN] = offer.try_into().ok()?;
    let mut plain = [0; OFFER_BODY];
    let who = Responder::new(Link::Peer, acceptor, [1; 32]).read(offer, &mut plain)?;
    let whole: WholeOffer = read_padded_body(&plain)?;
    Some((EquipmentId(who), whole.offer))
}

/// A detection packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Detection {
    /// The server is asked to report where it came from.
    pub report: bool,
    /// A probe from the server's other port has reached the equipment.
    pub from_other_port: bool,
    /// One from its other address has.
    pub from_other_address: bool,
    /// The session's handle at the server.
    pub handle: u32,
    /// The session's counter.
    pub counter: u64,
    /// The equipment's number for the request; `None`: it belongs to a measurement.
    pub request: Option<u32>,
    /// The burst's round.
    pub round: u8,
    /// The burst's moment (0 to 2), or the place in the measurement (1 to 5).
    pub which: u8,
    /// The equipment's number for its socket.
    pub socket: u8,
    /// The port that the socket is bound to; 0 = not told.
    pub local: u16,
}

/// A bubble, reply or check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PunchCheck {
    /// The sender has heard the peer on this path.
    pub answer: bool,
    /// The issuer's index for the session.
    pub index: u32,
}

/// Reads a detection packet. `None`: it is none that the equipment of the session with this root has
/// made.
#[must_use]
pub fn open_detection(root: &LoggedRoot, message: &[u8]) -> Option<Detection> {
    Kind::of(message).ok().filter(|&kind| kind == Kind::Detect)?;
    let (detect, tag) = Detect::parse(message)?;
    if !crate::crypto::equal(&tag, &detect.tag(&Root(root.0).keepalive(Direction::Up))) {
        return None;
    }
    let has = |bit| detect.status & bit != 0;
    Some(Detection {
        report: has(REPORT),
        from_other_port: has(FROM_OTHER_PORT),
        from_other_address: has(FROM_OTHER_ADDRESS),
        handle: detect.handle,
        counter: detect.counter,
        request: Some(detect.request).filter(|&request| request != MEASUREMENT),
        round: detect.round,
        which: detect.which,
        socket: detect.socket,
        local: detect.local,
    })
}

/// Reads a bubble, reply or check. `None`: it is none, or not under this offer's punch key.
#[must_use]
pub fn open_punch(key: &[u8; 16], message: &[u8]) -> Option<PunchCheck> {
    let punches = [Kind::IssuerPunch, Kind::AcceptorPunch];
    let kind = Kind::of(message).ok().filter(|kind| punches.contains(kind))?;
    let (check, tag) = Check::parse(kind, message)?;
    let ours = crate::crypto::equal(&tag, &check.tag(key));
    ours.then_some(PunchCheck { answer: check.answer, index: check.index })
}

/// Reads a body as the machines do: `None` when it does not decode, when anything follows it, or when
/// it could have been written shorter.
#[must_use]
pub fn body<'d, T: Wire<'d>>(bytes: &'d [u8]) -> Option<T> {
    read_body(bytes)
}

/// As [`body`], for one that zero bytes may follow.
#[must_use]
pub fn padded_body<'d, T: Wire<'d>>(bytes: &'d [u8]) -> Option<T> {
    read_padded_body(bytes)
}

/// Writes a body to the front of `out`; its length, or `None` when it does not fit.
pub fn write_body<'d, T: Wire<'d>>(value: &T, out: &mut [u8]) -> Option<usize> {
    codec::write_body(value, out)
}
