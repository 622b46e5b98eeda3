//! From the simulator's transcript to the packets of a story.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use genkan_core::inspect::{
    Body, LoggedRoot, open_detection, open_initiation, open_offer, open_punch,
};
use genkan_core::wire::Kind;
use genkan_core::wire::certificate::Certificate;
use genkan_core::wire::message::{ToEquipment, ToServer};
use genkan_core::{EquipmentId, StaticKey};
use genkan_sim::capture::{Interface, Load};
use genkan_sim::see::open::Opener;
use genkan_sim::{Entry, Fate, Origin, Via, World};

use super::{Packet, SealedOffer, What};

/// Where the certificate begins in its message: behind kind, flags and nonce.
const CERTIFICATE_AT: usize = 10;

/// All the keys of a world.
#[derive(Debug)]
pub struct Reader<'k> {
    server: &'k StaticKey,
    statics: Vec<&'k StaticKey>,
    opener: Opener,
    roots: BTreeSet<LoggedRoot>,
    punch_keys: BTreeSet<[u8; 16]>,
    insides: Insides,
}

impl<'k> Reader<'k> {
    /// With the server's static key, the equipment's, and every session root that was seen in the
    /// world.
    #[must_use]
    pub fn new(server: &'k StaticKey, statics: Vec<&'k StaticKey>, world: &World) -> Self {
        let roots: BTreeSet<LoggedRoot> = world.keys().iter().map(|key| key.root).collect();
        let opener = Opener::new(roots.iter().copied());
        let (punch_keys, insides) = (BTreeSet::new(), Insides::of(world));
        Self { server, statics, opener, roots, punch_keys, insides }
    }

    /// The next line of the transcript, opened.
    pub fn packet(&mut self, entry: &Entry) -> Packet {
        let (what, opened_by) = self.what(entry);
        if let What::Notify { offer, .. } = &what {
            self.punch_keys.extend(offer.opened.iter().map(|(_, offer)| offer.punch_key));
        }
        Packet {
            at: entry.at,
            arrived: match entry.fate {
                Fate::Delivered(at) => Some(at),
                _ => None,
            },
            refused: matches!(entry.fate, Fate::Unroutable(_)),
            from: entry.from.clone(),
            to: entry.to.clone(),
            inside: self.insides.next(entry),
            source: entry.source,
            destination: entry.destination,
            via: entry.via,
            what,
            opened_by,
            raw: entry.message().to_vec(),
        }
    }

    fn what(&self, entry: &Entry) -> (What, Vec<LoggedRoot>) {
        let message = entry.message();
        let plain = match (entry.via, entry.kind) {
            (Via::Syn(_), _) => What::Syn,
            (Via::SynAck(_), _) => What::SynAck,
            (Via::Fin(_) | Via::Rst(_), _) => What::End,
            (_, None) => What::Bytes,
            (_, Some(Kind::CertificateRequest)) => What::CertificateRequest,
            (_, Some(Kind::Certificate)) => certificate(message),
            (_, Some(Kind::Initiation)) => {
                let mut plain = [0; 1024];
                let who = open_initiation(self.server, message, &mut plain);
                What::Initiation(who.map(|(who, _)| who))
            }
            (_, Some(Kind::Response)) => What::Response,
            (_, Some(Kind::Answer)) => What::Answer,
            (_, Some(Kind::Detect)) => return self.detection(message),
            (_, Some(kind @ (Kind::IssuerPunch | Kind::AcceptorPunch))) => {
                let read = self.punch_keys.iter().find_map(|key| open_punch(key, message));
                read.map_or(What::Other(kind), What::Check)
            }
            (
                _,
                Some(
                    Kind::Transport
                    | Kind::ServerTransport
                    | Kind::IssuerTransport
                    | Kind::AcceptorTransport,
                ),
            ) => return self.sealed(message),
            (_, Some(kind)) => What::Other(kind),
        };
        (plain, Vec::new())
    }

    fn detection(&self, message: &[u8]) -> (What, Vec<LoggedRoot>) {
        let opened = |root: &LoggedRoot| Some((open_detection(root, message)?, *root));
        let (read, roots): (Vec<_>, Vec<_>) = self.roots.iter().filter_map(opened).unzip();
        (read.first().map_or(What::Other(Kind::Detect), |read| What::Detect(*read)), roots)
    }

    fn sealed(&self, message: &[u8]) -> (What, Vec<LoggedRoot>) {
        let opened = self.opener.open(message, |root, body| (self.body(body), root));
        let (mut whats, roots): (Vec<What>, Vec<LoggedRoot>) = opened.into_iter().unzip();
        (whats.pop().unwrap_or(What::Sealed), roots)
    }

    fn body(&self, body: &Body<'_>) -> What {
        match body {
            Body::ToServer(body) => self.to_server(body),
            Body::ToEquipment(body) => self.to_equipment(body),
            Body::Peer(message) => What::Peer(*message),
            Body::Payload(_, bytes) => What::Payload(bytes.to_vec()),
        }
    }

    fn to_server(&self, body: &ToServer<'_>) -> What {
        match body {
            ToServer::Register(register) => What::Register { id: register.id },
            ToServer::Connect(connect) => What::Connect {
                request: connect.request,
                target: connect.target,
                issuer: connect.issuer.into(),
                offer: self.offer(connect.offer),
            },
            ToServer::Reply(reply) => {
                What::Reply { request: reply.request, verdict: reply.verdict }
            }
            ToServer::Fetch(fetch) => What::Fetch { request: fetch.request },
            ToServer::Can(bits) => What::Can(*bits),
            ToServer::Heard(heard) => What::Heard { request: heard.request },
            ToServer::Range(range) => What::Range(*range),
            ToServer::Confirm
            | ToServer::Deregister
            | ToServer::Life(_)
            | ToServer::Leased(_)
            | ToServer::Reached(_) => What::OtherSealed,
        }
    }

    fn to_equipment(&self, body: &ToEquipment<'_>) -> What {
        match body {
            ToEquipment::Registered(answer) => {
                What::Registered { observed: answer.observed.into() }
            }
            ToEquipment::Notify(notify) => What::Notify {
                request: notify.request,
                issuer: notify.issuer.into(),
                offer: self.offer(notify.offer),
            },
            ToEquipment::Wake(wake) => What::Wake { request: wake.request },
            ToEquipment::Plan(plan) => {
                What::Plan { acceptor: plan.acceptor.into(), accepted: plan.accepted }
            }
            ToEquipment::Refused(_) => What::Refused,
            ToEquipment::Measure(measure) => What::Measure(*measure),
            ToEquipment::Seen(seen) => What::Seen(seen.clone()),
            ToEquipment::Punch(punch) => What::Burst(*punch),
            ToEquipment::Hopeless(hopeless) => What::Hopeless { request: hopeless.request },
            ToEquipment::Goodbye | ToEquipment::Call(_) => What::OtherSealed,
        }
    }

    fn offer(&self, bytes: &[u8]) -> SealedOffer {
        let opened: Option<(EquipmentId, _)> =
            self.statics.iter().find_map(|key| open_offer(key, bytes));
        SealedOffer { bytes: bytes.to_vec(), opened }
    }
}

fn certificate(message: &[u8]) -> What {
    let bytes = message.get(CERTIFICATE_AT..).unwrap_or_default();
    match Certificate::parse(bytes) {
        Ok(certificate) => {
            What::Certificate { server_key: certificate.server_key, bytes: bytes.to_vec() }
        }
        Err(_) => What::Bytes,
    }
}

/// From which socket each host has sent its datagrams: its own interface shows it before any NAT.
#[derive(Debug, Default)]
struct Insides(BTreeMap<String, VecDeque<(SocketAddr, SocketAddr)>>);

impl Insides {
    /// Nothing where the world was not captured from its beginning.
    fn of(world: &World) -> Self {
        let mut all = Self::default();
        for frame in world.captured() {
            if let (Interface::Host(_), Load::Udp(_), false) =
                (frame.interface, &frame.load, frame.inbound)
            {
                let sent = all.0.entry(world.interface_name(frame.interface)).or_default();
                sent.push_back((frame.source, frame.destination));
            }
        }
        all
    }

    /// For the next line of the transcript. What a hook dropped has not passed the interface.
    fn next(&mut self, entry: &Entry) -> Option<SocketAddr> {
        let sent = matches!(entry.origin, Origin::Sender | Origin::Altered);
        if entry.via != Via::Udp || entry.fate == Fate::Hooked || !sent {
            return None;
        }
        let (source, destination) = self.0.get_mut(&entry.from)?.pop_front()?;
        assert_eq!(destination, entry.destination, "the capture is not of this transcript");
        Some(source)
    }
}
