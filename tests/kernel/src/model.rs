//! A scenario's steps, carried out by simulated NATs.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_sim::Rng;
use genkan_sim::nat::{Flow, Nat, NatConfig, Proto, Refusal};

use crate::scenario::{Inside, Remote, Seen, Step};

/// Simulated NATs in the place of a lab's site.
#[derive(Debug)]
pub struct Model {
    /// From the inside outwards.
    nats: Vec<Nat>,
    /// What each remote saw last from each inside socket.
    saw: BTreeMap<(Remote, Inside), SocketAddr>,
}

impl Model {
    /// NATs with these addresses and settings, from the inside outwards.
    #[must_use]
    pub fn new(nats: impl IntoIterator<Item = (IpAddr, NatConfig)>) -> Self {
        let nat = |(number, (address, config))| Nat::new(&[address], config, Rng::new(number));
        Self { nats: (1..).zip(nats).map(nat).collect(), saw: BTreeMap::new() }
    }

    /// The outermost NAT forwards a port to an inside socket.
    pub fn forward(&mut self, port: u16, inside: Inside) {
        if let Some(nat) = self.nats.last_mut() {
            nat.forward(Proto::Udp, port, inside.address());
        }
    }

    /// What can be seen of a step at that time.
    ///
    /// # Panics
    /// When a step needs what an earlier one should have shown.
    pub fn step(&mut self, now: Duration, step: Step) -> Seen {
        self.try_step(now, step).unwrap_or_else(|refusal| match refusal {
            Refusal::Icmp => Seen::Unreachable,
            Refusal::Reset(_) => Seen::Reset,
            _ => Seen::Nothing,
        })
    }

    fn try_step(&mut self, now: Duration, step: Step) -> Result<Seen, Refusal> {
        Ok(match step {
            Step::Out(inside, remote) => {
                let source = self.outbound(now, Flow::Udp, inside.address(), remote.address())?;
                self.saw.insert((remote, inside), source);
                Seen::From(source)
            }
            Step::Answer(remote, inside) => self.back(now, Flow::Udp, remote, (remote, inside))?,
            Step::Stranger(remote, inside, by) => {
                self.back(now, Flow::Udp, remote, (by, inside))?
            }
            Step::Knock(remote, port) => {
                let to = self.external(port);
                self.inbound(now, Flow::Udp, remote.address(), to)?
            }
            Step::Closed(inside, remote) => self.closed(now, inside, remote)?,
            Step::Low(inside, remote, hops) => self.low(now, inside, remote, hops)?,
            Step::Hairpin(from, to, by) => {
                let to = self.saw[&(by, to)];
                Seen::Turned(self.hairpin(now, from.address(), to)?)
            }
            Step::Open(inside, remote) => {
                let (near, far) = (inside.address(), remote.address());
                let source = self.outbound(now, Flow::Syn, near, far)?;
                self.saw.insert((remote, inside), source);
                self.inbound(now, Flow::SynAck, far, source)?;
                Seen::From(self.outbound(now, Flow::Segment, near, far)?)
            }
            Step::Up(inside, remote) => {
                let source =
                    self.outbound(now, Flow::Segment, inside.address(), remote.address())?;
                // The remote knows no connection with another port, and says so.
                if source == self.saw[&(remote, inside)] { Seen::From(source) } else { Seen::Reset }
            }
            Step::Down(inside, remote) => {
                let to = self.saw[&(remote, inside)];
                let seen = self.inbound(now, Flow::Segment, remote.address(), to)?;
                self.outbound(now, Flow::Segment, inside.address(), remote.address())?;
                seen
            }
            Step::OutTcp(inside, remote, flow) => {
                let source = self.outbound(now, flow, inside.address(), remote.address())?;
                self.saw.insert((remote, inside), source);
                Seen::From(source)
            }
            Step::InTcp(remote, inside, flow) => self.back(now, flow, remote, (remote, inside))?,
            Step::KnockTcp(remote, port) => {
                let to = self.external(port);
                self.inbound(now, Flow::Syn, remote.address(), to)?
            }
            Step::Wait(_) => Seen::Nothing,
            Step::Reboot => {
                self.nats.iter_mut().for_each(Nat::reboot);
                Seen::Nothing
            }
        })
    }

    /// Something comes to the source address that a remote saw last from an inside socket.
    fn back(
        &mut self,
        now: Duration,
        flow: Flow,
        from: Remote,
        saw: (Remote, Inside),
    ) -> Result<Seen, Refusal> {
        let to = self.saw[&saw];
        self.inbound(now, flow, from.address(), to)
    }

    fn closed(&mut self, now: Duration, from: Inside, to: Remote) -> Result<Seen, Refusal> {
        let (inside, remote) = (from.address(), to.address());
        let source = self.outbound(now, Flow::Udp, inside, remote)?;
        // The error is for the source that the remote saw, and passes the NATs inwards.
        let mut nats = self.nats.iter_mut().rev();
        let told =
            nats.try_fold(source, |source, nat| nat.icmp_error(now, Proto::Udp, source, remote));
        Ok(if told == Some(inside) { Seen::Unreachable } else { Seen::Nothing })
    }

    fn low(
        &mut self,
        now: Duration,
        inside: Inside,
        remote: Remote,
        mut hops: u8,
    ) -> Result<Seen, Refusal> {
        let mut source = inside.address();
        for nat in &mut self.nats {
            if hops <= nat.config().hops {
                return Ok(Seen::Unreachable);
            }
            hops -= nat.config().hops;
            source = nat.outbound(now, Flow::Udp, source, remote.address())?;
        }
        Ok(Seen::From(source))
    }

    fn external(&self, port: u16) -> SocketAddr {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        SocketAddr::new(self.nats.last().map_or(nobody, |nat| nat.external()[0]), port)
    }

    fn outbound(
        &mut self,
        now: Duration,
        flow: Flow,
        inside: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Refusal> {
        self.nats.iter_mut().try_fold(inside, |source, nat| nat.outbound(now, flow, source, to))
    }

    fn inbound(
        &mut self,
        now: Duration,
        flow: Flow,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<Seen, Refusal> {
        let mut nats = self.nats.iter_mut().rev();
        let to = nats.try_fold(to, |to, nat| nat.inbound(now, flow, from, to))?;
        Ok(Seen::At(Inside::of(to)))
    }

    /// Turns round in the first NAT whose address it is sent to.
    fn hairpin(
        &mut self,
        now: Duration,
        inside: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Refusal> {
        let mut source = inside;
        for turn in 0..self.nats.len() {
            if !self.nats[turn].external().contains(&to.ip()) {
                source = self.nats[turn].outbound(now, Flow::Udp, source, to)?;
                continue;
            }
            let turned = self.nats[turn].hairpin(now, Flow::Udp, source, to)?;
            let mut inner = self.nats[..turn].iter_mut().rev();
            inner.try_fold(turned.to, |to, nat| nat.inbound(now, Flow::Udp, turned.source, to))?;
            return Ok(turned.source);
        }
        Err(Refusal::NoMapping)
    }
}
