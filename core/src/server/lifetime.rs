//! How long equipments' NATs keep a silent mapping, and what follows: the keepalive interval that
//! they are advised, and when their entries end.
//!
//! The server learns it from keepalives, by the port that the first one after a silence comes from;
//! and from acceptors that find it out themselves and ask for the probes that this takes.

use super::View;
use super::clients::{ClientSlot, Look};
use super::outbound::Out;
use super::rendezvous::PAIRED;
use crate::machine::Discard;
use crate::nat::{Lifetime, Mapping, NatProfile};
use crate::server::ServerEvent;
use crate::wire::message::{Life, Role};

/// How long an issuer's session over datagrams is kept without a word, in seconds.
const ISSUER_IDLE: u32 = 120;

impl View<'_> {
    /// The keepalive interval that an equipment is advised, in seconds.
    fn interval(&self, slot: &ClientSlot) -> u16 {
        let config = &self.state.config;
        match slot.over_stream {
            true => config.interval,
            false => slot.lifetime().keepalive(config.interval, config.longest_interval),
        }
    }

    /// The same for the equipment in this slot.
    pub(super) fn advice(&self, at: usize) -> u16 {
        self.clients.get(at).map_or(self.state.config.interval, |slot| self.interval(slot))
    }

    /// How long an entry lasts that is not heard of, in seconds. A shorter interval than the usual one
    /// does not shorten it: the equipment may not have heard of that yet.
    pub(super) fn idle(&self, at: usize) -> u32 {
        let acceptor = self.clients.get(at).filter(|slot| slot.role == Role::Acceptor);
        acceptor.map_or(ISSUER_IDLE, |slot| {
            let interval = self.interval(slot).max(self.state.config.interval);
            u32::from(interval).saturating_mul(3).saturating_add(10)
        })
    }

    /// When an entry that has just been heard of ends, in seconds of the machine's time.
    pub(super) fn lifetime(&self, at: usize) -> u32 {
        self.state.seconds().wrapping_add(self.idle(at))
    }

    /// The interval may be another one, and an entry's end with it: when it was heard of stays.
    pub(super) fn keep_heard(&mut self, at: usize, idle: u32) {
        let after = self.idle(at);
        if let Some(slot) = self.clients.get_mut(at) {
            slot.expires = slot.expires.wrapping_add(after).wrapping_sub(idle);
        }
    }

    /// A keepalive has come that is authentic, from the registered port or another one of the same
    /// address; `next`: its session has sent nothing since what was heard of it last. Learns what
    /// that says of the NAT, before the entry's end is put off.
    pub(super) fn hear_after_silence(&mut self, at: usize, same_port: bool, next: bool) {
        let idle = self.idle(at);
        let Some(slot) = self.clients.get(at) else { return };
        // Nearly always, and soon seen.
        let tells = !same_port || next && slot.mapping() == Mapping::AddressAndPortDependent;
        // A port that the box has opened comes and goes, but not by silence.
        if !tells || slot.leads || !slot.registered || slot.over_stream {
            return;
        }
        // Each entry's end is that long after it was heard of. Both are in whole seconds.
        let silent = self.state.seconds().wrapping_sub(slot.expires.wrapping_sub(idle));
        let mut profile = slot.profile();
        if profile.silent(silent.saturating_sub(1), silent.saturating_add(1), same_port) {
            self.learned(at, &profile);
        }
    }

    /// What an acceptor has found out, and its wish for a probe. The probe goes to no other address
    /// than the session's, costs as much as a paired issuer's request, and is shorter than the wish.
    pub(super) fn life(&mut self, at: usize, life: &Life) -> Result<(), Discard> {
        let now = self.state.now;
        if (1..1_024).contains(&life.port) {
            return Err(Discard::ForbiddenAddress);
        }
        let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        // Behind another address, or another port, it must be asked for its NAT first.
        let known = !matches!(slot.look, Look::Never | Look::Moved);
        if slot.role != Role::Acceptor || slot.ability().is_none() || !known {
            return Err(Discard::Unexpected);
        }
        if !slot.paired.take(now, PAIRED) {
            return Err(Discard::RateLimited);
        }
        let (mut profile, generation) = (slot.profile(), slot.generation());
        let before = profile.lifetime;
        profile.drifted |= profile.lifetime.join(Lifetime::from_byte(life.lifetime));
        if profile.lifetime != before {
            self.learned(at, &profile);
        }
        // A NAT that shuts out whoever sends to a port that is closed would shut out the server.
        if life.port != 0 && (profile.displaced || !profile.punishes) {
            self.state.send(Out::Knock(at, generation, life.port));
        }
        Ok(())
    }

    /// More is known of a NAT's lifetime. Another interval is told at once: what is registered would
    /// ask for it after minutes only.
    fn learned(&mut self, at: usize, profile: &NatProfile) {
        let before = self.advice(at);
        let Some(slot) = self.clients.get_mut(at) else { return };
        slot.set_profile(profile);
        let id = slot.id;
        self.state.event(ServerEvent::Measured { id, profile: *profile });
        let expires = self.lifetime(at);
        if let Some(slot) = self.clients.get_mut(at) {
            slot.expires = expires;
        }
        if self.advice(at) != before {
            self.state.send(Out::Registered(at));
        }
    }
}
