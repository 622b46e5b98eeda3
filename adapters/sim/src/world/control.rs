//! What a test does to the world: lines, partitions, hooks, injections, and hosts that fail.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::Instant;

use super::World;
use crate::faults::Faults;
use crate::nat::Nat;
use crate::net::{HostId, NatId, Owner};
use crate::node::Node;
use crate::packet::{Packet, Verdict};
use crate::tcp::{Reader, TcpConfig, TcpEvent};
use crate::world::Event;

/// How a host goes off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// The power is cut: its connections stay half open.
    Silent,
    /// The program ends and the system resets its connections.
    WithReset,
}

impl World {
    /// A host's line in both directions. Each path is the sender's line up, then the receiver's
    /// line down. What stays in one inner network, between its hosts or to and from its box, takes
    /// [`Faults::lan`] and no line, unless a path of its own is set.
    ///
    /// # Panics
    /// When a setting makes no sense ([`Faults::check`] says so before).
    pub fn set_line(&mut self, host: HostId, faults: &Faults) {
        self.set_up(host, faults.clone());
        self.set_down(host, faults.clone());
    }

    /// A host's line towards the network.
    ///
    /// # Panics
    /// As [`World::set_line`].
    pub fn set_up(&mut self, host: HostId, faults: Faults) {
        refuse_senseless(&faults, || format!("{}'s line", self.name(host)));
        *self.net.lines_mut(host).0 = faults;
    }

    /// A host's line from the network.
    ///
    /// # Panics
    /// As [`World::set_line`].
    pub fn set_down(&mut self, host: HostId, faults: Faults) {
        refuse_senseless(&faults, || format!("{}'s line", self.name(host)));
        *self.net.lines_mut(host).1 = faults;
    }

    /// A path of its own from one host to another, in place of their lines.
    ///
    /// # Panics
    /// As [`World::set_line`].
    pub fn set_path(&mut self, from: HostId, to: HostId, faults: Faults) {
        let path = || format!("the path from {} to {}", self.name(from), self.name(to));
        refuse_senseless(&faults, path);
        self.net.set_path(from, to, faults);
    }

    /// As [`World::set_path`], both ways.
    ///
    /// # Panics
    /// As [`World::set_line`].
    pub fn set_paths(&mut self, a: HostId, b: HostId, faults: &Faults) {
        self.set_path(a, b, faults.clone());
        self.set_path(b, a, faults.clone());
    }

    /// Nothing gets from one host to the other any more.
    pub fn cut(&mut self, from: HostId, to: HostId) {
        self.net.cut(from, to);
    }

    /// Ends a [`World::cut`].
    pub fn mend(&mut self, from: HostId, to: HostId) {
        self.net.mend(from, to);
    }

    /// Nothing gets from any of `a` to any of `b` any more, nor back.
    pub fn partition(&mut self, a: &[HostId], b: &[HostId]) {
        for (&a, &b) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
            self.cut(a, b);
            self.cut(b, a);
        }
    }

    /// Ends a [`World::partition`], and every [`World::cut`] between these hosts.
    pub fn heal(&mut self, a: &[HostId], b: &[HostId]) {
        for (&a, &b) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
            self.mend(a, b);
            self.mend(b, a);
        }
    }

    /// A NAT, to look at or change: it can be rebooted, its settings changed, a mapping moved, a port
    /// forwarded. At a time of its own by [`World::at`]:
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use genkan_sim::{NatConfig, World};
    /// # let mut world = World::new(1);
    /// # let nat = world.add_nat("nat", [192, 0, 2, 1].into(), None, NatConfig::default());
    /// world.at(Duration::from_secs(60), move |world| world.nat_mut(nat).reboot());
    /// world.at(Duration::from_secs(90), move |world| {
    ///     world.nat_mut(nat).config_mut().udp = false;
    /// });
    /// world.at(Duration::from_secs(95), move |world| world.renumber_nat(nat, [192, 0, 2, 2].into()));
    /// ```
    pub fn nat_mut(&mut self, nat: NatId) -> &mut Nat {
        self.net.nat_mut(nat)
    }

    /// A NAT gets another external address; its mappings go.
    ///
    /// # Panics
    /// When another on its outside has that address.
    pub fn renumber_nat(&mut self, nat: NatId, external: IpAddr) {
        self.renumber_nat_pool(nat, &[external]);
    }

    /// As [`World::renumber_nat`], with a pool.
    ///
    /// # Panics
    /// When another on its outside has one of these addresses.
    pub fn renumber_nat_pool(&mut self, nat: NatId, external: &[IpAddr]) {
        let (name, own) = (self.net.nat_name(nat), Some(Owner::Nat(nat)));
        self.refuse_taken(name, self.net.outer(nat), external, own);
        self.net.renumber_nat(nat, external);
    }

    /// Of the boxes beside each other, what its inner network sends leaves by this one from now on.
    pub fn prefer_nat(&mut self, nat: NatId) {
        self.net.prefer(nat);
    }

    /// A host gets other addresses. Its sockets stay; its TCP connections are lost in silence.
    ///
    /// # Panics
    /// When another in its network has one of these addresses.
    pub fn renumber_host(&mut self, host: HostId, addresses: &[IpAddr]) {
        let own = Some(Owner::Host(host));
        self.refuse_taken(self.name(host), self.net.network(host), addresses, own);
        self.net.renumber_host(host, addresses);
        self.slots[host.0].addresses = addresses.to_vec();
    }

    /// How TCP behaves. Connections that stand keep their capacity.
    pub const fn tcp_mut(&mut self) -> &mut TcpConfig {
        &mut self.tcp_config
    }

    /// From now on `hook` decides about what is sent, before the lines do: datagrams (what boxes answer
    /// themselves too), frames over TCP, SYN, SYN-ACK, FIN and RST each time that they are sent, and
    /// ICMP errors.
    ///
    /// It does not see what lies below a frame: the pieces in which it travels and the times that they
    /// are sent again, and acknowledgements, which are no packets here. Nor does it see what the test
    /// itself puts in ([`World::inject`]), the copies that a line makes ([`Faults::duplicate`]), and
    /// other users' traffic in a box ([`Foreign`](crate::nat::Foreign)), of which only the mappings exist.
    pub fn hook(&mut self, hook: impl FnMut(&mut Packet) -> Verdict + 'static) {
        self.hook = Some(Box::new(hook));
    }

    /// No hook any more.
    pub fn unhook(&mut self) {
        self.hook = None;
    }

    /// At that time a datagram with any source address comes out of the public internet. Where the
    /// addresses are of two families, it is no packet: no way leads anywhere.
    pub fn inject(&mut self, at: Duration, source: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.at(at, move |world| world.inject_now(None, (source, to), bytes));
    }

    /// As [`World::inject`], from the inner network of a NAT.
    pub fn inject_behind(
        &mut self,
        nat: NatId,
        at: Duration,
        (source, to): (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) {
        let bytes = bytes.to_vec();
        self.at(at, move |world| world.inject_now(Some(nat), (source, to), bytes));
    }

    /// A host goes off, and all that it had in memory is lost.
    pub fn kill(&mut self, host: HostId, death: Death) {
        self.drop_connections(host, death == Death::WithReset);
        self.slots[host.0].lose_memory();
        self.note(host, "off".into());
    }

    /// A host that is off comes on: `boot` is given the host's clock and makes what runs on it.
    ///
    /// # Panics
    /// When it is on.
    pub fn restart<N: Node>(&mut self, host: HostId, boot: impl FnOnce(Instant) -> N) {
        let now = self.instant(host);
        let slot = &mut self.slots[host.0];
        assert!(slot.node.is_none(), "{} is on", slot.name);
        slot.node = Some(Box::new(boot(now)));
        slot.paused = false;
        slot.open_sockets();
        self.note(host, "on".into());
        // As every caller's loop begins: what a new machine wants may be due at once.
        self.enter(host, |node, io| node.timeout(io));
    }

    /// Whether a host is on.
    #[must_use]
    pub fn is_on(&self, host: HostId) -> bool {
        self.slots[host.0].node.is_some()
    }

    /// A host stands still: datagrams wait in its sockets, bytes in its streams, timers pass.
    pub fn pause(&mut self, host: HostId) {
        self.slots[host.0].paused = true;
    }

    /// Ends a [`World::pause`]: what has waited is handled now.
    pub fn resume(&mut self, host: HostId) {
        self.slots[host.0].paused = false;
        while let Some((flight, socket, source)) = self.slots[host.0].waiting.pop_front() {
            self.datagram_read(host, flight, socket, source);
        }
        let slot = &self.slots[host.0];
        if slot.io.announced.is_some_and(|at| at <= slot.instant(self.now)) {
            self.ring(host);
        }
        self.read_all(host);
    }

    /// How fast a host reads its streams.
    pub fn set_reader(&mut self, host: HostId, reader: Reader) {
        self.slots[host.0].reader = reader;
        self.read_all(host);
    }

    fn read_all(&mut self, host: HostId) {
        let streams: Vec<_> = self.slots[host.0].streams.values().copied().collect();
        for (conn, side) in streams {
            self.schedule(Duration::ZERO, Event::Tcp(TcpEvent::Read { conn, side }));
        }
    }

    /// A host's clock jumps ahead.
    pub fn jump_ahead(&mut self, host: HostId, by: Duration) {
        self.jump(host, i128::try_from(by.as_micros()).unwrap_or(i128::MAX / 4));
    }

    /// A host's clock jumps back.
    pub fn jump_back(&mut self, host: HostId, by: Duration) {
        self.jump(host, -i128::try_from(by.as_micros()).unwrap_or(i128::MAX / 4));
    }

    fn jump(&mut self, host: HostId, micros: i128) {
        self.slots[host.0].jump(micros);
        self.set_alarm(host);
    }

    /// From now on a host's clock runs this many parts per million too fast (too slow when
    /// negative; crystals: up to ±100, a badly trimmed RC oscillator ±50,000). Not below -900,000.
    pub fn set_drift(&mut self, host: HostId, parts_per_million: i32) {
        let now = self.now;
        self.slots[host.0].set_drift(now, parts_per_million);
        self.set_alarm(host);
    }

    /// With this probability per wake-up, the node is also called before it, for no reason.
    pub fn set_early_wakes(&mut self, host: HostId, probability: f64) {
        self.slots[host.0].early = probability;
    }

    /// Wake-ups come up to this late, as on a busy device.
    pub fn set_late_wakes(&mut self, host: HostId, most: Duration) {
        self.slots[host.0].late = most;
    }

    /// With this probability a host cannot send a datagram: its machine is told to abandon it.
    pub fn set_send_errors(&mut self, host: HostId, probability: f64) {
        self.slots[host.0].io.send_errors = probability;
    }

    /// How many outputs a host's machine may make in one drain.
    pub fn set_drain_limit(&mut self, host: HostId, outputs: usize) {
        self.slots[host.0].io.drain_limit = outputs;
    }

    /// Whether what happens is kept, or only hashed (long runs).
    pub const fn keep_transcript(&mut self, keep: bool) {
        self.transcript.set_keep(keep);
    }

    /// Forgets what has happened; the hash stays.
    pub fn clear_transcript(&mut self) {
        self.transcript.clear();
    }

    /// Panics when another than `own` has one of the addresses that `who` is to have in a network.
    pub(super) fn refuse_taken(
        &self,
        who: &str,
        network: usize,
        addresses: &[IpAddr],
        own: Option<Owner>,
    ) {
        for &address in addresses {
            let holder = self.net.holder(network, address).filter(|holder| Some(*holder) != own);
            let holder = holder.map(|holder| match holder {
                Owner::Host(host) => self.name(host),
                Owner::Nat(nat) | Owner::Gateway(nat) => self.net.nat_name(nat),
            });
            let nobody = holder.is_none();
            assert!(nobody, "{who} cannot get {address}: {} has it", holder.unwrap_or_default());
        }
    }
}

/// Panics when a line is to do what makes no sense.
fn refuse_senseless(faults: &Faults, whose: impl FnOnce() -> String) {
    let fault = faults.check().err();
    assert!(
        fault.is_none(),
        "{}: {}",
        whose(),
        fault.map_or_else(String::new, |fault| fault.to_string())
    );
}
