//! What goes wrong with hosts, lines and NATs, and how it ends.

use core::time::Duration;

use super::acts::{Record, Undo};
use super::build::Swarm;
use super::{Act, edges};
use crate::entropy::EntropyMode;
use crate::nat::{Blocks, Lifetimes};
use crate::net::HostId;
use crate::tcp::Reader;
use crate::world::Death;

impl Swarm {
    /// The server, an acceptor or an issuer.
    fn anybody(&self, record: Record) -> HostId {
        let devices = self.acceptors.iter().chain(&self.issuers).map(|place| place.host);
        let hosts: Vec<HostId> = devices.chain([self.fleet.server]).collect();
        hosts[record.who(hosts.len())]
    }

    /// Whom a host is cut off from: a device from the server, or an issuer and an acceptor from each
    /// other.
    fn peer(&self, host: HostId, record: Record) -> HostId {
        let server = self.fleet.server;
        let acceptor = self.acceptors.iter().any(|place| place.host == host);
        let others = if acceptor { &self.issuers } else { &self.acceptors };
        if host != server && record.level() & 4 == 0 {
            return server;
        }
        others[record.other(others.len())].host
    }

    /// One way, the other, or both: a line that only carries answers is as bad as none.
    fn cut(&mut self, host: HostId, record: Record) -> Undo {
        let peer = self.peer(host, record);
        let world = &mut self.fleet.world;
        if record.level() & 3 != 2 {
            world.cut(host, peer);
        }
        if record.level() & 3 != 1 {
            world.cut(peer, host);
        }
        Undo::Mend(host, peer)
    }

    pub(super) fn host_fault(&mut self, act: Act, record: Record) {
        let (host, mut rng) = (self.anybody(record), record.rng());
        let death = if record.level() & 1 == 0 { Death::Silent } else { Death::WithReset };
        let server = self.fleet.server;
        let world = &mut self.fleet.world;
        let undo = match act {
            Act::Line => {
                world.set_line(host, &edges::bad(&mut rng));
                Undo::Line(host)
            }
            Act::Cut => self.cut(host, record),
            Act::Reboot | Act::TornReboot if host != server => {
                return self.reboot(host, death, act == Act::TornReboot, record.level() >> 1);
            }
            Act::ServerRestart => {
                self.checks.borrow_mut().restarted(server);
                return self.fleet.reboot_server(death);
            }
            Act::Pause => {
                world.pause(host);
                Undo::Resume(host)
            }
            Act::Jump => {
                return self.jump(host, rng.below(200_000));
            }
            Act::Drift => {
                let parts = i32::try_from(rng.below(100_001)).unwrap_or(0) - 50_000;
                world.set_drift(host, parts);
                Undo::Drift(host)
            }
            Act::Entropy if host != server => {
                let switch = self.fleet.entropy(host);
                switch.set(spoilt(record.level()));
                Undo::Entropy(switch)
            }
            Act::SendErrors => {
                world.set_send_errors(host, f64::from(record.level()) / 400.0);
                Undo::SendErrors(host)
            }
            Act::Wakes => {
                world.set_early_wakes(host, 0.5);
                world.set_late_wakes(host, Duration::from_millis(u64::from(record.level()) * 8));
                Undo::Wakes(host)
            }
            Act::Reader => {
                let slow = Reader::Slow { bytes: 40, every: Duration::from_millis(300) };
                let reader = if record.level() & 1 == 0 { Reader::Stalled } else { slow };
                world.set_reader(host, reader);
                Undo::Reader(host)
            }
            _ => return,
        };
        self.later(record.lasts(), undo);
    }

    /// A host's clock jumps to a place within 100 s of the true time: clocks that differ by more than
    /// 300 s make offers stale, which is no fault of the machines.
    fn jump(&mut self, host: HostId, place: u64) {
        let is = self.jumped.entry(host).or_insert(100_000);
        let (by, back) = (place.abs_diff(*is), place < *is);
        *is = place;
        let by = Duration::from_millis(by);
        let world = &mut self.fleet.world;
        if back { world.jump_back(host, by) } else { world.jump_ahead(host, by) }
    }

    fn reboot(&mut self, host: HostId, death: Death, torn: bool, level: u8) {
        self.made.retain(|&(owner, _)| owner != host);
        self.checks.borrow_mut().restarted(host);
        self.fleet.reboot_with(host, death, |flash| match level % 3 {
            // A record that fails its check is as good as none.
            0 if torn => flash.resumption = None,
            1 if torn => flash.certificate.truncate(usize::from(level)),
            _ if torn => {
                flash.certificate.clear();
                flash.resumption = None;
            }
            _ => {}
        });
    }

    pub(super) fn move_edge(&mut self, act: Act, record: Record) {
        let places: Vec<_> = self.acceptors.iter().chain(&self.issuers).cloned().collect();
        let place = &places[record.who(places.len())];
        let in_the_open = place.nats.is_empty();
        if in_the_open == (act != Act::Renumber) {
            return;
        }
        let at = record.other(place.nats.len());
        let Some(&nat) = place.nats.get(at) else { return self.readdress(place) };
        match act {
            Act::NatRenumber if self.fleet.world.net.nat(nat).external().is_empty() => {
                self.readdress(place);
            }
            Act::NatRenumber => self.renumber(nat),
            Act::NatPorts => {
                let start = 1_024 + 240 * u16::from(record.level());
                let mut houses = self.houses.iter();
                let forwards = houses.any(|house| house.forwards && house.nats.contains(&nat));
                let nat = self.fleet.world.nat_mut(nat);
                // A carrier's blocks lie within its range; and a few ports that are all forwarded would
                // leave none to others.
                if nat.config().blocks == Blocks::None && !forwards {
                    nat.config_mut().ports = start..=start + 2_000;
                }
                nat.reboot();
            }
            Act::NatExpiry => {
                let config = self.fleet.world.nat_mut(nat).config_mut();
                let short =
                    Lifetimes::udp(Duration::from_secs(10 + u64::from(record.level() % 20)));
                // A second change while the first lasts must not make the short life the usual one.
                if config.lifetimes.udp_initial >= Duration::from_secs(30) {
                    let usual = core::mem::replace(&mut config.lifetimes, short);
                    self.later(record.lasts(), Undo::Lifetimes(nat, Box::new(usual)));
                }
            }
            _ => self.fleet.world.nat_mut(nat).reboot(),
        }
    }

    pub(super) fn later(&mut self, wait: Duration, undo: Undo) {
        self.undone += 1;
        self.undo.insert((self.fleet.world.now() + wait, self.undone), undo);
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        let world = &mut self.fleet.world;
        match undo {
            Undo::Line(host) => {
                let places = self.acceptors.iter().chain(&self.issuers);
                let mut line = places.filter(|place| place.host == host).map(|place| &place.line);
                let line = line.next().cloned().unwrap_or_default();
                world.set_line(host, &line);
            }
            Undo::Mend(a, b) => {
                world.mend(a, b);
                world.mend(b, a);
            }
            Undo::Lifetimes(nat, usual) => world.nat_mut(nat).config_mut().lifetimes = *usual,
            Undo::Resume(host) => world.resume(host),
            Undo::Drift(host) => world.set_drift(host, 0),
            Undo::Entropy(switch) => switch.set(EntropyMode::Seeded),
            Undo::SendErrors(host) => world.set_send_errors(host, 0.0),
            Undo::Wakes(host) => {
                world.set_early_wakes(host, 0.0);
                world.set_late_wakes(host, Duration::ZERO);
            }
            Undo::Reader(host) => world.set_reader(host, Reader::Fast),
        }
    }
}

const fn spoilt(level: u8) -> EntropyMode {
    match level % 3 {
        0 => EntropyMode::Failing,
        1 => EntropyMode::Repeating,
        _ => EntropyMode::Constant(level),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::swarm::{ACT, HEADER, Settings};

    #[test]
    fn whoever_speaks_with_another_can_be_cut_off_from_him_one_way_only() {
        let mut found = BTreeSet::new();
        for (who, level) in (0..3).flat_map(|who| (0..8).map(move |level| (who, level))) {
            // One acceptor, one issuer.
            let mut swarm = Swarm::new(&Settings::default(), &[0; HEADER], false);
            let mut record = [0; ACT];
            (record[1], record[3]) = (who, level);
            swarm.host_fault(Act::Cut, Record(record));
            let (lamp, phone) = (swarm.acceptors[0].host, swarm.issuers[0].host);
            let net = &swarm.fleet.world.net;
            for pair in [(lamp, swarm.fleet.server), (phone, swarm.fleet.server), (lamp, phone)] {
                let cut = (net.is_cut(pair.0, pair.1), net.is_cut(pair.1, pair.0));
                if cut != (false, false) {
                    found.insert((pair, cut));
                }
            }
        }
        assert_eq!(found.len(), 9, "three pairs, each this way, that way and both: {found:?}");
    }
}
