//! A run of a scenario, and its thread: the packets that the claims speak of.

use core::time::Duration;

use genkan_core::inspect::LoggedRoot;
use genkan_core::{AcceptorEvent, EquipmentId, IssuerEvent, PasswordRecord};
use genkan_sim::{TcpId, Via};

use crate::story::{Packet, Story, What};
pub use crate::world::SERVER;

/// The request issuance equipment.
pub const ISSUER: &str = "phone";
/// The request acceptance equipment.
pub const ACCEPTOR: &str = "door";
/// Another acceptor on the list.
pub const OTHER: &str = "lamp";
/// The issuance equipment's own entry on the list: it takes requests too.
pub const OWN: &str = "phone's own door";

/// What a check comes to: why it does not hold otherwise.
pub type Held<T = ()> = Result<T, String>;

/// Holds when `condition` does.
///
/// # Errors
/// `otherwise`.
pub fn must(condition: bool, otherwise: &str) -> Held {
    if condition { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// One scenario, played, with the counter-runs that some elements need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// What happened.
    pub story: Story,
    /// The password information that the acceptor keeps, as its record.
    pub record: Option<PasswordRecord>,
    /// The certificate authority's public key, as the equipment was given it.
    pub authority: [u8; 32],
    /// The same scenario with a password that is wrong, and with none.
    pub denied: Vec<Story>,
    /// The same scenario where the certificates on the first TCP connection are another authority's.
    pub forged_first: Option<Story>,
    /// The same on the second TCP connection.
    pub forged_second: Option<Story>,
}

/// A TCP connection from an equipment to the server, with what the claims call by number there.
#[derive(Clone, Copy, Debug)]
pub struct Leg<'r> {
    /// The equipment's name.
    pub client: &'static str,
    /// The connection.
    pub tcp: TcpId,
    /// The connection request that goes over it.
    pub request: &'r Packet,
}

impl Run {
    /// The first packet from one host to another that arrived and is what `is` says.
    ///
    /// # Errors
    /// When there is none.
    pub fn first(
        &self,
        from: &'static str,
        to: &'static str,
        name: &str,
        is: impl Fn(&Packet) -> bool,
    ) -> Held<&Packet> {
        let mut packets = self.story.between(from, to);
        let found = packets.find(|packet| packet.arrived.is_some() && is(packet));
        found.ok_or_else(|| format!("no {name} from {from} to {to} has arrived"))
    }

    /// The equipment registration signals of the acceptor that arrived.
    #[must_use]
    pub fn registers(&self) -> Vec<&Packet> {
        let ours = self.story.between(ACCEPTOR, SERVER);
        ours.filter(|packet| is_register(packet) && packet.arrived.is_some()).collect()
    }

    /// First TCP connection start signal.
    ///
    /// # Errors
    /// When it has not arrived.
    pub fn first_syn(&self) -> Held<&Packet> {
        self.first(ISSUER, SERVER, "TCP start signal", |packet| packet.what == What::Syn)
    }

    /// Second TCP connection start signal.
    ///
    /// # Errors
    /// When it has not arrived.
    pub fn second_syn(&self) -> Held<&Packet> {
        self.first(ACCEPTOR, SERVER, "TCP start signal", |packet| packet.what == What::Syn)
    }

    /// First connection request signal.
    ///
    /// # Errors
    /// When it has not arrived.
    pub fn first_request(&self) -> Held<&Packet> {
        self.first(ISSUER, SERVER, "first connection request", is_connect)
    }

    /// Second connection request signal.
    ///
    /// # Errors
    /// When it has not arrived.
    pub fn second_request(&self) -> Held<&Packet> {
        self.first(SERVER, ACCEPTOR, "second connection request", is_notify)
    }

    /// Third connection request signal.
    ///
    /// # Errors
    /// When it has not arrived.
    pub fn third_request(&self) -> Held<&Packet> {
        self.first(SERVER, ACCEPTOR, "third connection request", is_wake)
    }

    /// Communication request signal.
    ///
    /// # Errors
    /// When it has not arrived.
    pub fn communication_request(&self) -> Held<&Packet> {
        self.first(ACCEPTOR, ISSUER, "communication request", is_answer)
    }

    /// The issuer's acceptance: its first authentic message to the acceptor.
    ///
    /// # Errors
    /// When it has not arrived.
    pub fn acceptance(&self) -> Held<&Packet> {
        let spoken = |packet: &Packet| matches!(packet.what, What::Peer(_) | What::Payload(_));
        self.first(ISSUER, ACCEPTOR, "acceptance", spoken)
    }

    /// The first application data from one to the other.
    ///
    /// # Errors
    /// When none has arrived.
    pub fn data(&self, from: &'static str, to: &'static str) -> Held<&Packet> {
        self.first(from, to, "application data", is_payload)
    }

    /// The answer to a TCP connection start signal.
    ///
    /// # Errors
    /// When it has not arrived: the connection does not stand.
    pub fn syn_ack(&self, syn: &Packet) -> Held<&Packet> {
        let packets = &self.story.packets;
        let answer = |packet: &&Packet| {
            packet.what == What::SynAck
                && packet.tcp() == syn.tcp()
                && packet.goes(&syn.to, &syn.from)
                && packet.at >= arrival(syn)
                && packet.arrived.is_some()
        };
        packets.iter().find(answer).ok_or_else(|| "the TCP connection does not stand".to_owned())
    }

    /// The first TCP connection.
    ///
    /// # Errors
    /// When the first connection request did not go over a TCP connection.
    pub fn first_leg(&self) -> Held<Leg<'_>> {
        leg(ISSUER, self.first_request()?)
    }

    /// The second TCP connection.
    ///
    /// # Errors
    /// When the second connection request did not go over a TCP connection.
    pub fn second_leg(&self) -> Held<Leg<'_>> {
        leg(ACCEPTOR, self.second_request()?)
    }

    /// When the issuer was told that the connection stands.
    ///
    /// # Errors
    /// When it was not.
    pub fn issuer_connected(&self) -> Held<Duration> {
        let mut told = self.story.issuer_told(ISSUER);
        let found = told.find(|(_, event)| matches!(event, IssuerEvent::Connected { .. }));
        found.map(|(at, _)| at).ok_or_else(|| "the issuer has accepted nothing".to_owned())
    }

    /// When the acceptor was told that the connection stands, and with whom.
    ///
    /// # Errors
    /// When it was not.
    pub fn acceptor_connected(&self) -> Held<(Duration, EquipmentId)> {
        let mut told = self.story.acceptor_told(ACCEPTOR);
        let connected = told.find_map(|(at, event)| match event {
            AcceptorEvent::Connected { peer, .. } => Some((at, peer)),
            _ => None,
        });
        connected.ok_or_else(|| "the acceptor has started nothing".to_owned())
    }

    /// The key that a packet is under.
    ///
    /// # Errors
    /// When not exactly one key opens it.
    pub fn key(&self, packet: &Packet) -> Held<LoggedRoot> {
        packet.key().ok_or_else(|| "not exactly one common key opens it".to_owned())
    }
}

fn leg<'r>(client: &'static str, request: &'r Packet) -> Held<Leg<'r>> {
    let tcp = request.tcp().ok_or("the connection request did not go over TCP")?;
    Ok(Leg { client, tcp, request })
}

/// When a packet that arrived did so.
#[must_use]
pub fn arrival(packet: &Packet) -> Duration {
    packet.arrived.unwrap_or(Duration::MAX)
}

/// An equipment registration signal.
#[must_use]
pub const fn is_register(packet: &Packet) -> bool {
    matches!(packet.what, What::Register { .. })
}

/// A first connection request signal.
#[must_use]
pub const fn is_connect(packet: &Packet) -> bool {
    matches!(packet.what, What::Connect { .. })
}

/// A second connection request signal.
#[must_use]
pub const fn is_notify(packet: &Packet) -> bool {
    matches!(packet.what, What::Notify { .. })
}

/// A third connection request signal.
#[must_use]
pub const fn is_wake(packet: &Packet) -> bool {
    matches!(packet.what, What::Wake { .. })
}

/// A communication request signal.
#[must_use]
pub const fn is_answer(packet: &Packet) -> bool {
    matches!(packet.what, What::Answer)
}

/// Application data.
#[must_use]
pub const fn is_payload(packet: &Packet) -> bool {
    matches!(packet.what, What::Payload(_))
}

/// Whether it is the SYN from one to the other.
#[must_use]
pub fn is_syn(packet: &Packet, from: &str, to: &str) -> bool {
    matches!(packet.via, Via::Syn(_)) && packet.goes(from, to)
}
