//! What issuers are made to do, and what attackers do.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use genkan_core::wire::{CERTIFICATE_REQUEST_LEN, Kind};
use genkan_core::{ConnectionId, Target};

use super::Act;
use super::acts::Record;
use super::build::Swarm;
use super::checks::PAYLOAD;
use crate::fleet::{FleetIssuer, PORT};
use crate::net::HostId;
use crate::rng::Rng;
use crate::send::Sent;

/// An attacker's own addresses: nothing answers there.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 250);
const ATTACKER_SIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xfffe, 0, 0, 0, 0, 0x250);

impl Swarm {
    /// An issuer asks; nothing happens when it has no slot or no randomness.
    pub(super) fn request(&mut self, phone: HostId, target: &Target) -> Option<ConnectionId> {
        let ask = |machine: &mut FleetIssuer, io: &mut crate::node::Io| {
            machine.request(io.now(), target).ok()
        };
        let connection = self.fleet.world.with(phone, ask)?;
        self.report.requests += 1;
        self.made.push((phone, connection));
        Some(connection)
    }

    /// A device with a connection sends a payload over it.
    pub(super) fn say(&mut self, record: Record) {
        let devices = self.acceptors.iter().chain(&self.issuers).map(|place| place.host);
        let devices: Vec<HostId> = devices.collect();
        let first = record.who(devices.len());
        let turned = devices[first..].iter().chain(&devices[..first]);
        let open = |host: &HostId| self.checks.borrow().sessions.open_at(*host).last().copied();
        let Some((host, (connection, peer))) =
            turned.copied().find_map(|host| open(&host).map(|open| (host, open)))
        else {
            return;
        };
        self.numbers += 1;
        let mut bytes = PAYLOAD.to_vec();
        bytes.extend(self.numbers.to_be_bytes());
        bytes.resize(bytes.len() + usize::from(record.level()) * 4, record.level());
        self.checks.borrow_mut().sessions.says(self.numbers, host, peer);
        if self.fleet.say(host, connection, &bytes) != Ok(Sent::Away) {
            self.checks.borrow_mut().sessions.unsays(self.numbers);
        }
    }

    /// An issuer ends its connections.
    pub(super) fn hang_up(&mut self, phone: HostId) {
        let open: Vec<_> = self.checks.borrow().sessions.open_at(phone).to_vec();
        for (connection, _) in open {
            let close = |machine: &mut FleetIssuer, io: &mut crate::node::Io| {
                machine.close(io.now(), connection);
            };
            self.fleet.world.with(phone, close);
        }
    }

    pub(super) fn attack(&mut self, act: Act, record: Record) {
        let mut rng = record.rng();
        let Some((mut bytes, from, to)) = self.checks.borrow().wire.seen(&mut rng) else { return };
        match act {
            Act::Replay => {
                let source = self.liar(&mut rng, record, (from, to));
                self.inject(source, to, &bytes);
            }
            Act::Mutate => {
                mutate(&mut bytes, &mut rng);
                let source = self.liar(&mut rng, record, (from, to));
                self.inject(source, to, &bytes);
            }
            Act::Garbage => {
                let bytes = garbage(&mut rng);
                let source = self.liar(&mut rng, record, (from, to));
                self.inject(source, to, &bytes);
            }
            Act::Flood => self.flood(&mut rng, record, (&bytes, to.is_ipv6())),
            _ => self.neighbour(&mut rng, record, bytes),
        }
    }

    fn inject(&mut self, source: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let now = self.fleet.world.now();
        self.fleet.world.inject(now, source, to, bytes);
    }

    /// The source address that an attacker states: its own, the true one, or the server's.
    fn liar(
        &self,
        rng: &mut Rng,
        record: Record,
        (truth, to): (SocketAddr, SocketAddr),
    ) -> SocketAddr {
        let own: IpAddr = if to.is_ipv6() { ATTACKER_SIX.into() } else { ATTACKER.into() };
        match record.level() % 4 {
            0..=1 => (own, 1_024 + rng.index(60_000) as u16).into(),
            2 => truth,
            _ => self.server_for(to.is_ipv6()),
        }
    }

    /// Over the IP version of what was seen.
    fn flood(&mut self, rng: &mut Rng, record: Record, (seen, six): (&[u8], bool)) {
        let server = self.server_for(six);
        let (at, initiation) = (self.fleet.world.now(), Kind::Initiation as u8);
        // Each Initiation with a good MAC is real work for the server.
        let most = if seen.first() == Some(&initiation) { 8 } else { 64 };
        for number in 0..1 + u64::from(record.level() % most) {
            let mut bytes = match record.level() % 3 {
                0 => seen.to_vec(),
                1 => vec![0; CERTIFICATE_REQUEST_LEN],
                _ => garbage(rng),
            };
            if record.level() % 3 == 1 {
                bytes[0] = Kind::CertificateRequest as u8;
                rng.fill(&mut bytes[2..10]);
            }
            let [a, b] = [rng.below(256) as u8, rng.below(256) as u8];
            let source: IpAddr = if six {
                [0x2001, 0xdb8, 0xfffd, a.into(), b.into(), 0, 0, 1].into()
            } else {
                [198, 18, a, b].into()
            };
            let at = at + Duration::from_micros(700 * number);
            self.fleet.world.inject(at, (source, 5_000).into(), server, &bytes);
        }
    }

    /// From within the house of a device behind a NAT.
    fn neighbour(&mut self, rng: &mut Rng, record: Record, mut bytes: Vec<u8>) {
        let places: Vec<_> = self.acceptors.iter().chain(&self.issuers).collect();
        let place = places[record.who(places.len())];
        let (Some(nat), host) = (self.own_box(place.house), place.host) else { return };
        let Some(&address) = self.fleet.world.slots[host.0].addresses.first() else { return };
        let server = self.server_for(address.is_ipv6());
        match record.level() / 4 % 3 {
            0 => {}
            1 => mutate(&mut bytes, rng),
            _ => bytes = garbage(rng),
        }
        let own = SocketAddr::new(address, 1_024 + rng.index(60_000) as u16);
        let source = if record.level() & 1 == 0 { server } else { own };
        let (at, to) = (self.fleet.world.now(), SocketAddr::new(address, PORT));
        self.fleet.world.inject_behind(nat, at, (source, to), &bytes);
    }
}

/// Changes some bits, the length or the kind.
fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    match rng.below(4) {
        0 => bytes.truncate(1 + rng.index(bytes.len())),
        1 => bytes.extend_from_slice(&rng.next_u64().to_be_bytes()),
        2 => bytes[0] = Kind::ALL[rng.index(Kind::ALL.len())] as u8,
        _ => {
            for _ in 0..=rng.below(3) {
                let at = rng.index(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
        }
    }
}

/// Bytes that nobody meant; most begin as a message does.
fn garbage(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0; 1 + rng.index(600)];
    rng.fill(&mut bytes);
    if rng.chance(0.75) {
        bytes[0] = Kind::ALL[rng.index(Kind::ALL.len())] as u8;
    }
    bytes
}
