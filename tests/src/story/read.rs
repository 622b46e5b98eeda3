//! From the simulator's transcript to the packets of a story.

use genkan_core::inspect::{Body, LoggedRoot, open_initiation, open_offer};
use genkan_core::wire::Kind;
use genkan_core::wire::certificate::Certificate;
use genkan_core::wire::message::{ToEquipment, ToServer};
use genkan_core::{EquipmentId, StaticKey};
use genkan_sim::see::open::Opener;
use genkan_sim::{Entry, Fate, Via};

use super::{Packet, SealedOffer, What};

/// Where the certificate begins in its message: behind kind, flags and nonce.
const CERTIFICATE_AT: usize = 10;

/// All the keys of a world.
#[derive(Debug)]
pub struct Reader<'k> {
    server: &'k StaticKey,
    statics: Vec<&'k StaticKey>,
    opener: Opener,
}

impl<'k> Reader<'k> {
    /// With the server's static key, the equipment's, and every session root that was seen.
    #[must_use]
    pub const fn new(server: &'k StaticKey, statics: Vec<&'k StaticKey>, opener: Opener) -> Self {
        Self { server, statics, opener }
    }

    /// A line of the transcript, opened.
    #[must_use]
    pub fn packet(&self, entry: &Entry) -> Packet {
        let (what, opened_by) = self.what(entry);
        Packet {
            at: entry.at,
            arrived: match entry.fate {
                Fate::Delivered(at) => Some(at),
                _ => None,
            },
            from: entry.from.clone(),
            to: entry.to.clone(),
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
                issuer: connect.issuer,
                offer: self.offer(connect.offer),
            },
            ToServer::Reply(reply) => {
                What::Reply { request: reply.request, verdict: reply.verdict }
            }
            ToServer::Fetch(fetch) => What::Fetch { request: fetch.request },
            ToServer::Confirm
            | ToServer::Deregister
            | ToServer::Can(_)
            | ToServer::Heard(_)
            | ToServer::Range(_) => What::OtherSealed,
        }
    }

    fn to_equipment(&self, body: &ToEquipment<'_>) -> What {
        match body {
            ToEquipment::Registered(answer) => What::Registered { observed: answer.observed },
            ToEquipment::Notify(notify) => What::Notify {
                request: notify.request,
                issuer: notify.issuer,
                offer: self.offer(notify.offer),
            },
            ToEquipment::Wake(wake) => What::Wake { request: wake.request },
            ToEquipment::Plan(plan) => {
                What::Plan { acceptor: plan.acceptor, accepted: plan.accepted }
            }
            ToEquipment::Refused(_) => What::Refused,
            ToEquipment::Goodbye
            | ToEquipment::Measure(_)
            | ToEquipment::Seen(_)
            | ToEquipment::Punch(_)
            | ToEquipment::Hopeless(_) => What::OtherSealed,
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
