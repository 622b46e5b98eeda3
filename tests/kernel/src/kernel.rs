//! A scenario's steps, carried out with real sockets.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_sim::nat::Flow;

use crate::lab::Lab;
use crate::netns::Namespace;
use crate::raw::{Came, Segments};
use crate::scenario::{Inside, Remote, Seen, Step};
use crate::sockets::{Event, Sockets, Who};
use crate::tcp::Streams;

/// How long something that should come may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it is waited for something that should not come.
const SILENCE: Duration = Duration::from_millis(60);

/// Inside hosts, remotes, and something between them.
pub(crate) trait Site: fmt::Debug {
    /// Where the remotes are.
    fn internet(&self) -> &Namespace;
    /// Where an inside host is.
    fn host(&self, host: u8) -> &Namespace;
    /// The address that remotes see.
    fn external(&self) -> IpAddr;
    /// What is between them forgets its mappings.
    fn reboot(&self);
}

/// The first one.
impl Site for Lab {
    fn internet(&self) -> &Namespace {
        Self::internet(self)
    }

    fn host(&self, host: u8) -> &Namespace {
        Self::host(self, 0, host)
    }

    fn external(&self) -> IpAddr {
        Self::external(self, 0)
    }

    fn reboot(&self) {
        Self::reboot(self, 0);
    }
}

/// The sockets of inside hosts and those of the remotes.
#[derive(Debug)]
pub struct Side<'l> {
    site: &'l dyn Site,
    udp: Sockets,
    tcp: Streams,
    raw: Segments,
    sent: u32,
    /// What each remote saw last from each inside socket.
    saw: BTreeMap<(Remote, Inside), SocketAddr>,
}

impl<'l> Side<'l> {
    /// The first site of a lab, with its NATs as new and no socket open.
    #[must_use]
    pub fn new(lab: &'l Lab) -> Self {
        lab.reset(0);
        Self::at(lab)
    }

    /// With no socket open.
    pub(crate) fn at(site: &'l dyn Site) -> Self {
        let (udp, tcp) = (Sockets::default(), Streams::default());
        let raw = Segments::default();
        Self { site, udp, tcp, raw, sent: 0, saw: BTreeMap::new() }
    }

    /// Does it. `expected` only decides how long it is waited.
    pub(crate) fn step(&mut self, step: Step, expected: Seen) -> Seen {
        let longest = if expected == Seen::Nothing { SILENCE } else { PATIENCE };
        match step {
            Step::Out(inside, remote) => {
                self.remote(remote);
                self.inside(inside);
                self.send(Who::Inside(inside), remote.address());
                let seen = self.see(Who::Inside(inside), longest);
                if let Seen::From(source) = seen {
                    self.saw.insert((remote, inside), source);
                }
                seen
            }
            Step::Low(inside, remote, hops) => {
                self.remote(remote);
                self.inside(inside);
                self.sent += 1;
                self.udp.send_low(Who::Inside(inside), remote.address(), self.sent, hops);
                self.see(Who::Inside(inside), longest)
            }
            Step::Answer(remote, inside) => self.inwards(remote, (remote, inside), longest),
            Step::Stranger(remote, inside, by) => self.inwards(remote, (by, inside), longest),
            Step::Knock(remote, port) => {
                self.remote(remote);
                let to = (self.site.external(), port).into();
                self.send(Who::Remote(remote), to);
                self.see(Who::Remote(remote), longest)
            }
            Step::Closed(inside, remote) => {
                self.inside(inside);
                self.send(Who::Inside(inside), remote.address());
                self.see(Who::Inside(inside), longest)
            }
            Step::Hairpin(from, to, by) => {
                self.inside(from);
                let to = self.saw[&(by, to)];
                self.send(Who::Inside(from), to);
                self.see(Who::Inside(from), longest)
            }
            Step::Open(inside, remote) => {
                let (internet, host) = (self.site.internet(), self.site.host(inside.host));
                self.tcp.connect(internet, host, (inside, remote), longest)
            }
            Step::Up(inside, remote) => self.tcp.up((inside, remote), longest),
            Step::Down(inside, remote) => self.tcp.down((inside, remote), longest),
            Step::OutTcp(inside, remote, flow) => self.segment_out(inside, remote, flow, longest),
            Step::InTcp(remote, inside, flow) => self.segment_in(remote, inside, flow, longest),
            Step::KnockTcp(remote, port) => {
                let to = (self.site.external(), port).into();
                crate::tcp::knock(self.site.internet(), remote, to, longest)
            }
            Step::Wait(duration) => {
                std::thread::sleep(duration);
                Seen::Nothing
            }
            Step::Reboot => {
                self.site.reboot();
                Seen::Nothing
            }
        }
    }

    fn inwards(&mut self, from: Remote, saw: (Remote, Inside), longest: Duration) -> Seen {
        self.remote(from);
        let to = self.saw[&saw];
        self.send(Who::Remote(from), to);
        self.see(Who::Remote(from), longest)
    }

    fn segment_out(
        &mut self,
        inside: Inside,
        remote: Remote,
        flow: Flow,
        longest: Duration,
    ) -> Seen {
        self.raw.open(self.site.host(inside.host), inside.ip());
        self.raw.open(self.site.internet(), remote.ip());
        self.raw.drain(remote.ip());
        self.raw.send((inside, remote), false, flow, remote.address());
        match self.raw.receive(remote.ip(), longest) {
            // What leaves untranslated gets nowhere in the real internet.
            Some(Came { from, port }) if port == remote.port && from != inside.address() => {
                self.raw.came((inside, remote), false, flow);
                self.saw.insert((remote, inside), from);
                Seen::From(from)
            }
            _ => Seen::Nothing,
        }
    }

    fn segment_in(
        &mut self,
        remote: Remote,
        inside: Inside,
        flow: Flow,
        longest: Duration,
    ) -> Seen {
        let to = self.saw[&(remote, inside)];
        self.raw.drain(inside.ip());
        self.raw.send((inside, remote), true, flow, to);
        let came = self.raw.receive(inside.ip(), longest);
        let expected = Came { from: remote.address(), port: inside.port };
        if came != Some(expected) {
            return Seen::Nothing;
        }
        self.raw.came((inside, remote), true, flow);
        Seen::At(inside)
    }

    fn inside(&mut self, inside: Inside) {
        self.udp.open(self.site.host(inside.host), Who::Inside(inside));
    }

    fn remote(&mut self, remote: Remote) {
        self.udp.open(self.site.internet(), Who::Remote(remote));
    }

    fn send(&mut self, from: Who, to: SocketAddr) {
        self.sent += 1;
        self.udp.send(from, to, self.sent);
    }

    /// What can be seen of the datagram that `sender` sent last.
    fn see(&self, sender: Who, longest: Duration) -> Seen {
        let Some((who, event)) = self.udp.event(longest) else { return Seen::Nothing };
        match event {
            Event::Icmp => {
                assert_eq!(who, sender, "an ICMP error for somebody else");
                Seen::Unreachable
            }
            Event::Datagram(from, number) => {
                assert_eq!(number, self.sent, "datagram {number} came late, to {who:?}");
                match (sender, who) {
                    (Who::Inside(_), Who::Remote(_)) => Seen::From(from),
                    (Who::Inside(_), Who::Inside(_)) => Seen::Turned(from),
                    (Who::Remote(remote), Who::Inside(inside)) => {
                        assert_eq!(from, remote.address(), "the NAT changed the remote's address");
                        Seen::At(inside)
                    }
                    (Who::Remote(_), Who::Remote(_)) => Seen::Nothing,
                }
            }
        }
    }
}
