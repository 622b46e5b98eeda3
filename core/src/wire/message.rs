//! The bodies of transport messages and handshake payloads, in postcard.
//!
//! Signals of the source documents by their names here: equipment registration signal =
//! [`Register`]; first connection request signal = [`ConnectRequest`]; second = [`ConnectNotify`];
//! third = [`Wake`]; password information = [`Offer::password`], inside the sealed offer.

use heapless::Vec;
use serde::{Deserialize, Serialize};

pub use super::offer::{Accept, MAX_CANDIDATES, Offer, PeerMessage, WholeOffer};
use super::once::{number, optional_bytes, slice};
use crate::addr::Endpoint;
use crate::id::EquipmentId;

/// Which role an equipment plays on a server link. An appliance that also reaches others has one
/// session for each role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Role {
    /// Request acceptance equipment.
    Acceptor,
    /// Request issuance equipment.
    Issuer,
}

/// Payload of Noise message 1 to the server, padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// The role of the session.
    pub role: Role,
    /// Seconds since 1970 by the equipment's clock; 0 = it has none.
    #[serde(with = "number")]
    pub time: u64,
    /// A request that comes along, so that a cold issuer needs no further round trip.
    #[serde(borrow)]
    pub early: Option<ConnectRequest<'a>>,
}

/// Payload of Noise message 2 from the server, padded to [`WELCOME_LEN`](super::WELCOME_LEN).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The equipment's address as the server sees it.
    pub observed: Endpoint,
    /// Seconds since 1970 by the server's clock, for information; 0 = it has none.
    #[serde(with = "number")]
    pub time: u64,
    /// The request in message 1 was taken; it must not be sent again.
    pub early_taken: bool,
}

/// From an equipment to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToServer<'a> {
    /// Confirms a new session when there is nothing else to say.
    Confirm,
    /// Registration.
    Register(Register),
    /// The acceptor leaves.
    Deregister,
    /// First connection request.
    #[serde(borrow)]
    Connect(ConnectRequest<'a>),
    /// What the acceptor says to a notification.
    Reply(NotifyReply),
    /// The acceptor fetches what it was woken for.
    Fetch(Fetch),
    /// What the equipment can do, as [`capability`] bits: an issuer's first word in a session, since
    /// it does not register.
    Can(u32),
    /// The equipment has heard its peer on a direct path.
    Heard(Heard),
    /// The range that the equipment has computed from what was reported to it.
    Range(Range),
    /// How long the equipment's NAT keeps a mapping, and the wish for a probe.
    Life(Life),
    /// The box before the equipment has opened this external port for the socket of this session
    /// (PCP, NAT-PMP); 0: it does so no more. Believed when what a probe to it carries is said back.
    Leased(u16),
    /// What the server's probe to that port has carried.
    Reached([u8; 6]),
}

/// From the server to an equipment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToEquipment<'a> {
    /// Answers a registration.
    Registered(Registered),
    /// Second connection request.
    #[serde(borrow)]
    Notify(ConnectNotify<'a>),
    /// Third connection request.
    Wake(Wake),
    /// The request was accepted, or (paired) passed on: how the direct path comes about.
    Plan(Plan),
    /// The request came to nothing.
    Refused(Refused),
    /// The server lets this session go; the equipment may come again at once.
    Goodbye,
    /// Show me your NAT: send the packets of [`nat::measurement`](crate::nat::measurement).
    #[cfg_attr(not(feature = "punch"), serde(deserialize_with = "super::codec::refuse"))]
    Measure(Measure),
    /// Where detection packets came from.
    #[cfg_attr(not(feature = "punch"), serde(deserialize_with = "super::codec::refuse"))]
    Seen(Seen),
    /// What to send towards the peer.
    #[cfg_attr(not(feature = "punch"), serde(deserialize_with = "super::codec::refuse"))]
    Punch(Punch),
    /// The two NATs cannot be punched.
    Hopeless(Hopeless),
    /// Show me where your TCP connections come from, or: call the peer from there.
    #[cfg_attr(not(feature = "punch"), serde(deserialize_with = "super::codec::refuse"))]
    Call(Call),
}

/// Equipment registration signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Register {
    /// The equipment's id, in full.
    pub id: EquipmentId,
    /// The address that the equipment itself sees on its socket; unspecified when unknown. The
    /// server stores the address that it observes, this one is a host candidate only.
    pub local: Endpoint,
    /// [`capability`] bits.
    #[serde(with = "number")]
    pub capabilities: u32,
    /// The acceptor's current early key.
    #[serde(with = "optional_bytes")]
    pub early_key: Option<[u8; 16]>,
}

/// What an equipment can do, as bits of [`Register::capabilities`] and [`ToServer::Can`]. Bits 8 to
/// 31 say how it punches, see [`Ability`](crate::punch::Ability).
pub mod capability {
    /// Takes [`ConnectNotify`](super::ConnectNotify) as a datagram.
    pub const NOTIFY_DATAGRAM: u32 = 1;
    /// Can open a second TCP connection to the server when woken.
    pub const NOTIFY_STREAM: u32 = 2;
    /// Can dial back over TCP.
    pub const DIAL_BACK: u32 = 4;
    /// Can punch UDP holes, and knows the messages for it.
    pub const PUNCH: u32 = 8;
    /// Computes its ranges itself ([`Detector::Equipment`](crate::punch::Detector::Equipment)).
    pub const DETECTS: u32 = 16;
    /// Can open a TCP connection from the port of another one, and knows [`Call`](super::Call).
    pub const CALL: u32 = 32;
}

/// The server's other ends; sent to equipment that can punch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Measure {
    /// The UDP port beside the main one, on the same address.
    #[serde(with = "number")]
    pub other_port: u16,
    /// An end on another address.
    pub other_address: Option<Endpoint>,
    /// Send the packets; otherwise the equipment's NAT is known well enough and this only tells
    /// the ends.
    pub now: bool,
}

/// The most packets in one [`Seen`].
pub const MAX_SEEN: usize = crate::nat::MEASURE_PACKETS;

/// Detection port information: where the equipment's detection packets came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The equipment's number for the request; 0: the measurement.
    #[serde(with = "number")]
    pub request: u32,
    /// The burst's round.
    pub round: u8,
    /// Which packet, and its source address and port.
    pub packets: Vec<(u8, Endpoint), MAX_SEEN>,
}

/// One burst, and where to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Punch {
    /// The equipment's number for the request.
    #[serde(with = "number")]
    pub request: u32,
    /// The peer's address as the server sees it. The IP address stays for the whole attempt.
    pub peer: Endpoint,
    /// What to send.
    pub burst: crate::punch::Burst,
}

/// The two NATs cannot be punched; another kind of path may still do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hopeless {
    /// The equipment's number for the request.
    #[serde(with = "number")]
    pub request: u32,
    /// Why.
    pub why: crate::punch::Hopeless,
}

/// Both ends of a request are to call each other over TCP at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Call {
    /// The equipment's number for the request.
    #[serde(with = "number")]
    pub request: u32,
    /// `None`: connect to the server and show where you come from. Otherwise: where the server has
    /// seen the peer come from; call it from the port of that connection.
    pub peer: Option<Endpoint>,
}

/// The equipment has heard its peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heard {
    /// The equipment's number for the request.
    #[serde(with = "number")]
    pub request: u32,
}

/// A range that the equipment has computed itself; the server clamps it to what it saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Range {
    /// The equipment's number for the request.
    #[serde(with = "number")]
    pub request: u32,
    /// The burst's round.
    pub round: u8,
    /// Ports and differential.
    pub range: crate::nat::PortRange,
}

/// How long the equipment's NAT keeps a silent mapping, as far as it knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Life {
    /// A probe shall come from the server's main end to this port of the session's address; 0: none.
    #[serde(with = "number")]
    pub port: u16,
    /// [`Lifetime::to_byte`](crate::nat::Lifetime::to_byte).
    pub lifetime: u8,
}

/// Answer to a registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Registered {
    /// The equipment's address as the server sees it.
    pub observed: Endpoint,
    /// How long the device should wait between keepalives, in seconds.
    #[serde(with = "number")]
    pub interval: u16,
    /// After how many keepalives a full registration is wanted again.
    pub register_every: u8,
}

/// First connection request signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConnectRequest<'a> {
    /// The issuer's own number for this request.
    #[serde(with = "number")]
    pub request: u32,
    /// The equipment that is asked for.
    pub target: EquipmentId,
    /// Where the issuer takes a dial-back. The IP address must be the one that the server observes,
    /// or unspecified, which stands for it.
    pub issuer: Endpoint,
    /// Authenticates the request under the acceptor's early key: the issuer is paired.
    #[serde(with = "optional_bytes")]
    pub early_tag: Option<[u8; 16]>,
    /// The sealed offer, [`OFFER_LEN`](super::OFFER_LEN) bytes.
    #[serde(serialize_with = "slice")]
    pub offer: &'a [u8],
}

/// Second connection request signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConnectNotify<'a> {
    /// The server's number for this request.
    #[serde(with = "number")]
    pub request: u32,
    /// The issuer's address: IP as observed by the server, port as stated by the issuer.
    pub issuer: Endpoint,
    /// The request was authenticated under the early key.
    pub paired: bool,
    /// The sealed offer.
    #[serde(serialize_with = "slice")]
    pub offer: &'a [u8],
}

/// Third connection request signal: come and fetch a request over TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wake {
    /// The server's number for the request.
    #[serde(with = "number")]
    pub request: u32,
}

/// What an acceptor says on its second TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fetch {
    /// The number from the [`Wake`].
    #[serde(with = "number")]
    pub request: u32,
}

/// The acceptor's word on a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NotifyReply {
    /// The server's number for the request.
    #[serde(with = "number")]
    pub request: u32,
    /// What the acceptor does about it.
    pub verdict: Verdict,
}

/// Whether an acceptor will come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// It contacts the issuer now.
    Accepted,
    /// It does not.
    Declined(Reason),
}

/// Why a request came to nothing. Strangers always see [`Reason::Unspecified`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reason {
    /// Not told.
    Unspecified,
    /// No such equipment is registered.
    Unknown,
    /// It is registered, but does not answer.
    Offline,
    /// It has no room for another connection.
    Busy,
    /// The issuer is not on its pairing list and gave no password.
    NotAllowed,
    /// The password was wrong, or further tries must wait.
    WrongPassword,
    /// The issuer's address is not one that it may contact.
    ForbiddenAddress,
    /// It could not make sense of the offer, or has seen it before.
    BadOffer,
    /// It could not reach the issuer's address.
    Unreachable,
}

/// How the direct path comes about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The issuer's number for the request.
    #[serde(with = "number")]
    pub request: u32,
    /// The acceptor's address as the server sees it: told once it has accepted, or at once to a
    /// paired issuer.
    pub acceptor: Endpoint,
    /// The acceptor has accepted.
    pub accepted: bool,
}

/// The request came to nothing. One size for all reasons.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// The issuer's number for the request.
    #[serde(with = "number")]
    pub request: u32,
    /// Why, for paired issuers.
    pub reason: Reason,
}
