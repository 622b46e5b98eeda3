//! What happened in a world, in plain words: every packet with its decrypted body and the key that
//! opened it, the server's list over time, the keys that each machine held, and what the machines
//! told their applications.
//!
//! A [`Story`] is plain data. Checks read it; proofs that the checks can fail change a copy.

pub mod read;

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::inspect::{Detection, LoggedRoot, PunchCheck};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Measure, Offer, PeerMessage, Punch, Range, Seen, Verdict};
use genkan_core::{AcceptorEvent, EquipmentId, IssuerEvent, ServerEvent};
use genkan_sim::{TcpId, Via};

/// What a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Request acceptance equipment.
    Acceptor,
    /// Request issuance equipment.
    Issuer,
}

/// One equipment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its host's name.
    pub name: String,
    /// Its id.
    pub id: EquipmentId,
    /// What it is.
    pub role: Role,
}

/// A sealed offer, and what is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedOffer {
    /// The bytes that travel.
    pub bytes: Vec<u8>,
    /// Who sealed it, and its plaintext; `None` when no acceptor of the lab can open it.
    pub opened: Option<(EquipmentId, Offer)>,
}

impl SealedOffer {
    /// The password information in it.
    #[must_use]
    pub fn password(&self) -> Option<[u8; 32]> {
        self.opened.as_ref().and_then(|(_, offer)| offer.password)
    }
}

/// What a packet is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// TCP connection start signal.
    Syn,
    /// The answer to it.
    SynAck,
    /// An end of a TCP connection closes or resets it.
    End,
    /// Asks for the certificate.
    CertificateRequest,
    /// Server certificate information.
    Certificate {
        /// The server key that it certifies.
        server_key: [u8; 32],
        /// The certificate itself.
        bytes: Vec<u8>,
    },
    /// First or third key generation information. `None`: not for the server's key.
    Initiation(Option<EquipmentId>),
    /// Second or fourth key generation information.
    Response,
    /// Equipment registration signal.
    Register {
        /// The equipment's id.
        id: EquipmentId,
    },
    /// Its plain answer.
    Registered {
        /// The address that the server has seen.
        observed: SocketAddr,
    },
    /// First connection request signal.
    Connect {
        /// The issuer's number.
        request: u32,
        /// Whom it asks for.
        target: EquipmentId,
        /// The issuer's address and port.
        issuer: SocketAddr,
        /// The sealed offer.
        offer: SealedOffer,
    },
    /// Second connection request signal.
    Notify {
        /// The server's number.
        request: u32,
        /// The issuer's address and port.
        issuer: SocketAddr,
        /// The sealed offer.
        offer: SealedOffer,
    },
    /// Third connection request signal.
    Wake {
        /// The server's number.
        request: u32,
    },
    /// The acceptor's first word on the second TCP connection.
    Fetch {
        /// The server's number.
        request: u32,
    },
    /// The acceptor's word on a second connection request.
    Reply {
        /// The server's number.
        request: u32,
        /// What it does.
        verdict: Verdict,
    },
    /// The issuer is told that the acceptor comes.
    Plan {
        /// The acceptor's address.
        acceptor: SocketAddr,
        /// It has accepted.
        accepted: bool,
    },
    /// The issuer is told that it does not.
    Refused,
    /// What the equipment can do, as capability bits.
    Can(u32),
    /// The server wants to see the equipment's NAT.
    Measure(Measure),
    /// A range, differential or profile detection packet.
    Detect(Detection),
    /// Detection port information.
    Seen(Seen),
    /// What an end is to send towards its peer: target port or range information.
    Burst(Punch),
    /// A range that the equipment has computed.
    Range(Range),
    /// A bubble, reply or check, under an offer's punch key.
    Check(PunchCheck),
    /// The equipment has heard its peer.
    Heard {
        /// The equipment's number.
        request: u32,
    },
    /// The two NATs cannot be punched.
    Hopeless {
        /// The equipment's number.
        request: u32,
    },
    /// Another message under the keys of a server link.
    OtherSealed,
    /// Communication request signal.
    Answer,
    /// A control message between issuer and acceptor.
    Peer(PeerMessage),
    /// Application data between issuer and acceptor.
    Payload(Vec<u8>),
    /// A transport message that no key on record opens.
    Sealed,
    /// Another message that has a kind.
    Other(Kind),
    /// Bytes that are no message.
    Bytes,
}

/// One packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// When it was sent, since the world's start.
    pub at: Duration,
    /// When it arrived; `None`: it did not.
    pub arrived: Option<Duration>,
    /// A NAT in front of the receiver had it and did not let it in.
    pub refused: bool,
    /// The sender's name.
    pub from: String,
    /// The receiver's name.
    pub to: String,
    /// The socket that the sender sent it from, where the world was captured: a datagram's.
    pub inside: Option<SocketAddr>,
    /// Its source as outsiders see it.
    pub source: SocketAddr,
    /// Its destination as the sender knows it.
    pub destination: SocketAddr,
    /// How it travels.
    pub via: Via,
    /// What it is.
    pub what: What,
    /// The session roots under which it opens.
    pub opened_by: Vec<LoggedRoot>,
    /// The message as it travels.
    pub raw: Vec<u8>,
}

impl Packet {
    /// The TCP connection that it belongs to.
    #[must_use]
    pub const fn tcp(&self) -> Option<TcpId> {
        match self.via {
            Via::Udp | Via::Icmp(_) => None,
            Via::Tcp(id) | Via::Syn(id) | Via::SynAck(id) | Via::Fin(id) | Via::Rst(id) => Some(id),
        }
    }

    /// Whether it is a datagram.
    #[must_use]
    pub fn is_datagram(&self) -> bool {
        self.via == Via::Udp
    }

    /// The key that it is under, when exactly one key on record opens it.
    #[must_use]
    pub fn key(&self) -> Option<LoggedRoot> {
        match self.opened_by[..] {
            [root] => Some(root),
            _ => None,
        }
    }

    /// Whether it went from one host to another.
    #[must_use]
    pub fn goes(&self, from: &str, to: &str) -> bool {
        self.from == from && self.to == to
    }
}

/// The server's list has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed {
    /// When.
    pub at: Duration,
    /// Whose entry.
    pub id: EquipmentId,
    /// The address in it; `None`: there is no entry any more.
    pub address: Option<SocketAddr>,
}

/// A machine has a session root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// Since when.
    pub at: Duration,
    /// The host's name.
    pub owner: String,
    /// The root.
    pub root: LoggedRoot,
}

/// What a machine told its application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// The server.
    Server(Duration, ServerEvent),
    /// An acceptor, by its name.
    Acceptor(Duration, String, AcceptorEvent),
    /// An issuer, by its name.
    Issuer(Duration, String, IssuerEvent),
}

impl Told {
    /// When, since the world's start.
    #[must_use]
    pub const fn at(&self) -> Duration {
        match self {
            Self::Server(at, _) | Self::Acceptor(at, ..) | Self::Issuer(at, ..) => *at,
        }
    }
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Story {
    /// The equipment.
    pub members: Vec<Member>,
    /// The server's address.
    pub server: SocketAddr,
    /// The server's static public key.
    pub server_key: [u8; 32],
    /// The packets in the order in which they were sent.
    pub packets: Vec<Packet>,
    /// The changes of the server's list, in order.
    pub listed: Vec<Listed>,
    /// The keys, in the order in which they were first seen.
    pub keys: Vec<Key>,
    /// What the machines told their applications, in order.
    pub told: Vec<Told>,
}

impl Story {
    /// An equipment's id, by its host's name.
    #[must_use]
    pub fn id(&self, name: &str) -> EquipmentId {
        let found = self.members.iter().find(|member| member.name == name);
        found.expect("the name is of this story").id
    }

    /// The packets from one host to another.
    pub fn between<'a>(
        &'a self,
        from: &'a str,
        to: &'a str,
    ) -> impl DoubleEndedIterator<Item = &'a Packet> {
        self.packets.iter().filter(move |packet| packet.goes(from, to))
    }

    /// The address on the server's list at a moment.
    #[must_use]
    pub fn address_at(&self, id: EquipmentId, at: Duration) -> Option<SocketAddr> {
        let mut entries = self.listed.iter().filter(|entry| entry.id == id && entry.at <= at);
        entries.next_back()?.address
    }

    /// Whether a machine held a key at some time.
    #[must_use]
    pub fn holds(&self, owner: &str, root: LoggedRoot) -> bool {
        self.keys.iter().any(|key| key.owner == owner && key.root == root)
    }

    /// What an issuer was told, in order.
    pub fn issuer_told<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (Duration, IssuerEvent)> + 'a {
        self.told.iter().filter_map(move |told| match told {
            Told::Issuer(at, who, event) if who == name => Some((*at, *event)),
            _ => None,
        })
    }

    /// What an acceptor was told, in order.
    pub fn acceptor_told<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (Duration, AcceptorEvent)> + 'a {
        self.told.iter().filter_map(move |told| match told {
            Told::Acceptor(at, who, event) if who == name => Some((*at, *event)),
            _ => None,
        })
    }
}
