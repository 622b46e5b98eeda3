//! One end of a meeting and its NAT.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::Instant;
use genkan_core::nat::lease::LeaseClient;
use genkan_core::nat::{self, NatProfile, ServerEnd, Sighting};
use genkan_core::punch::{Attempt, Budget, Limits};

use super::run::Lab;
use crate::nat::{Flow, Nat, NatConfig};
use crate::rng::Rng;

const SERVER: [SocketAddr; 3] = [
    SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 1)), 3_478),
    SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 1)), 3_479),
    SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 2)), 3_478),
];

pub(super) const fn server(end: ServerEnd) -> SocketAddr {
    match end {
        ServerEnd::Main => SERVER[0],
        ServerEnd::OtherPort => SERVER[1],
        ServerEnd::OtherAddress => SERVER[2],
    }
}

/// The core's time.
pub(super) fn instant(now: Duration) -> Instant {
    Instant::from_micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

pub(super) struct Host {
    pub(super) nat: Nat,
    inside: IpAddr,
    pub(super) attempt: Attempt,
    /// The ports that sockets are bound to; the first is the registered one.
    pub(super) locals: Vec<u16>,
    rng: Rng,
    pub(super) observed: SocketAddr,
    pub(super) profile: NatProfile,
    /// Probes have cost it its registration.
    shut_out: bool,
    /// When it was measured last.
    measured_at: Option<Duration>,
}

impl Host {
    pub(super) fn new(config: NatConfig, number: u8, limits: Limits, rng: &Rng) -> Self {
        let mut own = rng.fork(if number == 1 { "issuer" } else { "acceptor" });
        let external = IpAddr::from([192, 0, 2, number]);
        let budget =
            Budget { packets: limits.guesses.saturating_add(128), sockets: limits.sockets.max(3) };
        Self {
            nat: Nat::new(&[external], config, own.fork("nat")),
            inside: IpAddr::from([10, 0, number, 2]),
            attempt: Attempt::new(budget),
            locals: vec![ephemeral(&mut own)],
            rng: own,
            observed: SocketAddr::new(external, 0),
            profile: NatProfile::default(),
            shut_out: false,
            measured_at: None,
        }
    }

    pub(super) fn out(&mut self, now: Duration, socket: u8, to: SocketAddr) -> Option<SocketAddr> {
        let local = *self.locals.get(usize::from(socket))?;
        let inside = SocketAddr::new(self.inside, local);
        self.nat.outbound(now, Flow::Udp, inside, to).ok()
    }

    /// Registers, from another socket each time, and is measured; what was learned before stays
    /// learned. An end whose box has leased it a port says so, and is believed when the server's probes
    /// arrive there.
    pub(super) fn register(&mut self, now: Duration, lab: &Lab) {
        if self.measured_at.is_some() {
            self.locals = vec![ephemeral(&mut self.rng)];
        }
        let asks = lab.leases && self.nat.config().leases.is_some();
        let leased = asks.then(|| self.lease(now)).flatten();
        let newer = self.measure(now, lab.second_address, leased);
        match self.measured_at.replace(now) {
            Some(before) => self.profile.renew(&newer, now.saturating_sub(before)),
            None => self.profile = newer,
        }
    }

    /// Asks the box for a port for the registered socket, as long as it answers at once. The one that
    /// it has then.
    fn lease(&mut self, now: Duration) -> Option<u16> {
        let inside = SocketAddr::new(self.inside, self.locals[0]);
        let nonce = core::array::from_fn(|_| self.rng.next_u64().to_be_bytes()[0]);
        let mut client = LeaseClient::new(instant(now), inside, nonce);
        while let Some(request) = client.poll_request(instant(now)) {
            if let Some(answer) = self.nat.port_control(now, inside, &request) {
                client.handle_answer(instant(now), &answer);
            }
        }
        client.lease(instant(now)).map(|lease| lease.port)
    }

    /// Half a millisecond between packets.
    fn measure(
        &mut self,
        mut now: Duration,
        second_address: bool,
        leased: Option<u16>,
    ) -> NatProfile {
        let mut seen: Vec<Sighting> = Vec::new();
        self.open(1, 2);
        let mut packets = vec![(0, ServerEnd::Main)];
        packets.extend(nat::measurement(second_address).iter().map(|p| (p.socket, p.server)));
        let mut filtering = None;
        for (socket, end) in packets {
            let unprobed = filtering.is_none() && !self.profile.punishes;
            if let (Some(first), true) = (seen.first().copied(), unprobed) {
                let port = leased.unwrap_or_else(|| first.port());
                let at = SocketAddr::new(first.observed.ip(), port);
                filtering = Some(self.probe_filter(now, at, second_address));
            }
            if let Some(observed) = self.out(now, socket, server(end)) {
                let local = self.locals.get(usize::from(socket)).copied().unwrap_or(0);
                seen.push(Sighting { socket, local, server: end, observed: observed.into() });
            }
            now += Duration::from_micros(500);
        }
        let mut profile = NatProfile::measure(&seen);
        let (port, address) = filtering.unwrap_or_default();
        profile.set_filtering(port, address);
        profile.punishes |= self.shut_out;
        if let Some(first) = seen.first() {
            self.observed = first.observed.into();
        }
        if let (Some(leased), Some(true)) = (leased, address.or(port)) {
            self.observed.set_port(leased);
            profile.set_leased();
        }
        profile
    }

    /// Whether packets of the server's other ends come in at the registered socket, to which nothing
    /// was sent yet.
    fn probe_filter(
        &mut self,
        now: Duration,
        registered: SocketAddr,
        second_address: bool,
    ) -> (Option<bool>, Option<bool>) {
        let mut comes_in = |end| self.nat.inbound(now, Flow::Udp, server(end), registered).is_ok();
        let address = second_address.then(|| comes_in(ServerEnd::OtherAddress));
        let port = comes_in(ServerEnd::OtherPort);
        // What the server asks then does not arrive; it asks again another time, without probes.
        self.shut_out = !comes_in(ServerEnd::Main);
        if self.shut_out { (None, None) } else { (Some(port), address) }
    }

    /// Opens sockets on consecutive ports; says the first one's.
    pub(super) fn open(&mut self, first: u8, count: u8) -> u16 {
        let local = ephemeral(&mut self.rng);
        let (from, to) = (usize::from(first), usize::from(first) + usize::from(count));
        self.locals.resize(self.locals.len().max(to), 0);
        for (place, port) in self.locals[from..to].iter_mut().zip(local..) {
            *place = port;
        }
        local
    }
}

fn ephemeral(rng: &mut Rng) -> u16 {
    32_768 + u16::try_from(rng.below(28_000)).unwrap_or(0)
}
