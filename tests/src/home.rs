//! A lamp behind one box that forgets silent mappings, and what is known of that box.

use core::time::Duration;

use genkan_core::nat::NatProfile;
use genkan_core::punch::Ability;
use genkan_core::wire::Kind as Message;
use genkan_core::{AcceptorEvent, ServerEvent};
use genkan_sim::fleet::{AcceptorApp, Fleet, punches};
use genkan_sim::matrix::KINDS;
use genkan_sim::nat::{Lifetimes, Preserve};
use genkan_sim::{Entry, Faults, HostId, Log, NatConfig, NatId};

use crate::scene::HOP;

/// So many seconds.
#[must_use]
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A box of this kind of the matrix, or of the kind "kept", that keeps a silent mapping for `life`.
///
/// # Panics
/// When there is no such kind.
#[must_use]
pub fn keeping(kind: &str, life: Duration) -> NatConfig {
    let name = if kind == "kept" { "port" } else { kind };
    let mut config = KINDS.into_iter().find(|one| one.name == name).expect("a kind").config(0.0);
    if kind == "kept" {
        config.behaviour.allocation.preserve = Preserve::WhenFree;
    }
    config.lifetimes = Lifetimes::udp(life);
    // The lamp's own port, 4600, is among them: a box that keeps ports keeps that one, too.
    config.ports = 1_024..=65_535;
    config
}

/// The lamp, its box, and the server.
#[derive(Debug)]
pub struct Home {
    /// The world.
    pub fleet: Fleet,
    /// The lamp.
    pub lamp: HostId,
    /// Its box.
    pub nat: NatId,
}

/// A lamp behind a box, registered; the server advises intervals up to `longest` seconds.
#[must_use]
pub fn home(config: NatConfig, longest: u16, watches: bool) -> Home {
    nth_home(1, config, longest, watches)
}

/// As [`home`], in the world of this seed.
///
/// # Panics
/// When the lamp does not register.
#[must_use]
pub fn nth_home(seed: u64, config: NatConfig, longest: u16, watches: bool) -> Home {
    let mut fleet = Fleet::with_server(seed, |config| {
        punches(config);
        config.longest_interval = longest;
    });
    let nat = fleet.nat(config);
    let lamp = fleet.acceptor_behind(Some(nat), "lamp", |config| {
        config.spread = Duration::ZERO;
        config.punch = Some(Ability::LARGE);
        config.lifetime = watches;
    });
    fleet.world.set_paths(lamp, fleet.server, &Faults::latency(HOP));
    assert!(fleet.wait_registered(lamp, secs(60)), "{}", fleet.story());
    Home { fleet, lamp, nat }
}

impl Home {
    /// The last profile that the lamp, and the server, told.
    ///
    /// # Panics
    /// When one of them has told none.
    #[must_use]
    pub fn profiles(&self) -> [NatProfile; 2] {
        let app: &AcceptorApp = self.fleet.world.app(self.lamp);
        let lamps = app.log.events.iter().rev().find_map(|(_, event)| match event {
            AcceptorEvent::Nat(nat) => Some(*nat),
            _ => None,
        });
        let log: &Log<ServerEvent> = self.fleet.world.app(self.fleet.server);
        let servers = log.events.iter().rev().find_map(|(_, event)| match event {
            ServerEvent::Measured { profile, .. } => Some(*profile),
            _ => None,
        });
        [lamps.expect("the lamp's"), servers.expect("the server's")]
    }

    /// The lifetime's bounds in both, in seconds; 0: not known.
    #[must_use]
    pub fn lifetimes(&self) -> [[u16; 2]; 2] {
        self.profiles().map(|nat| [nat.lifetime.at_least(), nat.lifetime.at_most()])
    }

    /// All that was sent since then.
    pub fn since(&self, from: Duration) -> impl Iterator<Item = &Entry> {
        self.fleet.world.transcript().entries().filter(move |entry| entry.at >= from)
    }

    /// The times between the lamp's datagrams from its registered socket.
    #[must_use]
    pub fn gaps(&self, from: Duration) -> Vec<Duration> {
        let said = self.since(from).filter(|entry| {
            let kinds = [Some(Message::Keepalive), Some(Message::Transport), Some(Message::Echo)];
            entry.from == "lamp" && kinds.contains(&entry.kind)
        });
        let times: Vec<Duration> = said.map(|entry| entry.at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}
