//! Which port a box has opened for an equipment, and whether it leads there.
//!
//! ```text
//! Leased ─► probes to that port, each with a proof ─► Reached: what one has carried
//! ```
//!
//! An equipment names any port of the address that it is seen at, and a neighbour may have that one.
//! So what a probe carries cannot be known to anybody whom it has not reached (threat T14): it is a tag
//! under a key of the server's, kept nowhere, over session, measurement, address and port.

use super::clients::{ClientSlot, Look};
use super::inbound::short;
use super::measure::Measurement;
use super::{ServerEvent, View};
use crate::addr::Endpoint;
use crate::crypto::mac;
use crate::machine::Discard;
use crate::nat::{NatProfile, ServerEnd};
use crate::session::keepalive::Keepalive;
use crate::wire::{KEEPALIVE_LEN, Kind};

/// How long a port is believed after the probe that has proven it, in units of 70 minutes, one more at
/// the most: whoever registers is measured every 6 hours.
const LIFE: u8 = 6;
/// The same where probes have gone out since and nothing was heard of them.
const DOUBTED_LIFE: u8 = 1;
/// Measurements in a row whose probes may be lost.
const MISSES: u8 = 3;
/// Of a session's probings: no proof is taken any more.
const SPENT: u8 = u8::MAX;

impl ClientSlot {
    /// Its box has opened this port for it; 0: none any more. Whether that is news.
    pub(super) fn set_leased(&mut self, port: u16) -> bool {
        let news = self.leased != port;
        if news {
            (self.leased, self.missed) = (port, 0);
            self.doubt_lease();
            if self.look != Look::Never {
                self.look = Look::Moved;
            }
        }
        news
    }

    /// Whether the leased port leads to it is not known any more, nor what followed from that.
    pub(super) fn doubt_lease(&mut self) {
        if core::mem::take(&mut self.leads) {
            let mut profile = self.profile();
            (profile.mapping, profile.filtering) = Default::default();
            self.set_profile(&profile);
        }
    }

    /// Whether the probes of a measurement have not arrived at its leased port, or the word that they
    /// have has not: either may have been lost.
    pub(super) const fn has_missed_probes(&self) -> bool {
        self.leased != 0 && self.missed > 0 && self.missed < MISSES
    }

    /// Whether a probe would carry what none has carried before: a session has so many.
    pub(super) const fn may_prove(&self) -> bool {
        self.leased == 0 || self.probings < SPENT - 1
    }

    /// Probes go to its leased port, with a value that none has carried before.
    pub(super) const fn probe_lease(&mut self, now: u32) {
        (self.probings, self.probed_at) = (self.probings.saturating_add(1), stamp(now));
    }

    /// A port that was proven too long ago may be somebody else's by now; what proves it, too.
    pub(super) fn age_lease(&mut self, now: u32) {
        let life = if self.missed > 0 { DOUBTED_LIFE } else { LIFE };
        if self.probings > 0 && stamp(now).wrapping_sub(self.probed_at) > life {
            self.probe_lease(now);
            self.doubt_lease();
        }
    }

    /// A probe has arrived at its leased port.
    const fn prove_lease(&mut self) {
        (self.leads, self.missed) = (true, 0);
    }

    /// None has.
    fn miss_lease(&mut self) {
        self.missed = self.missed.saturating_add(1);
        if self.missed >= MISSES {
            self.doubt_lease();
        }
    }

    /// Where peers reach it: at the port where the server sees it, or at a leased one.
    pub(super) fn reached_at(&self) -> Option<Endpoint> {
        let seen = self.address()?;
        Some(if self.leads { seen.at_port(self.leased) } else { seen })
    }

    /// Whether its leased port is another one than the one where it is seen.
    pub(super) fn leases_another(&self) -> bool {
        self.leased != 0 && self.leased != self.place.port()
    }

    /// What a probe from this end to the leased port carries, in 48 bits. The keepalive key stands for
    /// the session: a handle comes again.
    pub(super) fn proof(&self, key: &[u8; 16], end: ServerEnd) -> u64 {
        let to = self.place.at_port(self.leased).bytes();
        let end = u8::from(end == ServerEnd::OtherAddress);
        mac::hash(key, &[b"lease", &self.keepalive_down, &to, &[self.probings, end]]) >> 16
    }
}

impl View<'_> {
    /// What an equipment says that its box has opened for it. It is looked at anew with the word that
    /// follows, its registration or what it can do. No probe goes to a port below 1,024.
    pub(super) fn leases(&mut self, at: usize, port: u16) -> Result<(), Discard> {
        let idle = self.idle(at);
        let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        if (1..1_024).contains(&port) {
            return Err(Discard::ForbiddenAddress);
        }
        if slot.set_leased(port) {
            self.state.measurements.retain(|one| one.at != at);
            if port == slot.place.port() {
                // A keepalive came from there before this word: no silence has ended a mapping.
                let lifetime = slot.lifetime().or_longer();
                slot.set_profile(&NatProfile { lifetime, ..slot.profile() });
                self.keep_heard(at, idle);
            }
        }
        Ok(())
    }

    /// What an equipment says that a probe to its leased port has carried: the one from the other
    /// address, where there is one. A measurement that is under way takes it into account.
    pub(super) fn reached(&mut self, at: usize, proof: &[u8; 6]) -> Result<(), Discard> {
        let end = match self.other_address(at) {
            Some(_) => ServerEnd::OtherAddress,
            None => ServerEnd::OtherPort,
        };
        let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        if slot.leased == 0 || matches!(slot.probings, 0 | SPENT) {
            return Err(Discard::Unexpected);
        }
        let [_, _, expected @ ..] = slot.proof(&self.state.lease_key, end).to_be_bytes();
        if !crate::crypto::equal(&expected, proof) {
            return Err(Discard::Unauthentic);
        }
        if slot.look == Look::Probed {
            // The probes have not cost it its way to the server.
            slot.look = Look::Asked;
        }
        let known = slot.leads;
        slot.missed = 0;
        match self.under_way(at) {
            Some(measurement) => measurement.proven = true,
            None if known => {}
            None => {
                self.leads(at);
                self.meet_anew(at);
            }
        }
        Ok(())
    }

    /// A measurement has ended without a packet.
    pub(super) fn unseen(&mut self, at: usize, one: &Measurement) {
        let Some(slot) = self.clients.get_mut(at) else { return };
        if one.proves(slot) {
            self.leads(at);
        } else if one.probed {
            slot.miss_lease();
        }
        // Nothing more will be known of it.
        self.meet_anew(at);
    }

    /// The leased port leads to the equipment, as is proven.
    fn leads(&mut self, at: usize) {
        let second = self.other_address(at).is_some();
        let Some(slot) = self.clients.get_mut(at) else { return };
        slot.prove_lease();
        let mut profile = slot.profile();
        open(&mut profile, second);
        slot.set_profile(&profile);
        let id = slot.id;
        self.state.event(ServerEvent::Measured { id, profile });
    }
}

/// The time of a probing, in 2^22 of these milliseconds.
const fn stamp(now: u32) -> u8 {
    let [.., low] = (now >> 22).to_be_bytes();
    low
}

impl Measurement {
    /// Whether it has proven that the leased port leads to the equipment where that is now.
    fn proves(&self, slot: &ClientSlot) -> bool {
        self.proven && self.place.shares_ip(slot.place)
    }

    /// What has come of the leased port in this measurement.
    pub(super) fn settle_lease(&self, slot: &mut ClientSlot) {
        if self.proves(slot) {
            slot.prove_lease();
        } else if self.probed && slot.leased != 0 {
            slot.miss_lease();
        }
    }
}

/// A leased port leads to the equipment, and lets in who was not sent to.
pub(super) const fn open(profile: &mut NatProfile, second: bool) {
    profile.set_leased();
    profile.set_filtering(Some(true), if second { Some(true) } else { None });
}

/// A probe of an equipment's filter. Its counter is that of the next message to the equipment, which
/// is the Measure; to a leased port it is the proof.
pub(super) fn probe(client: &ClientSlot, end: ServerEnd, key: &[u8; 16]) -> [u8; KEEPALIVE_LEN] {
    let status = if end == ServerEnd::OtherAddress { 2 } else { 1 };
    let counter = if client.leased == 0 { client.next_counter() } else { client.proof(key, end) };
    filter_probe(client, status, counter)
}

pub(super) fn filter_probe(client: &ClientSlot, status: u8, counter: u64) -> [u8; KEEPALIVE_LEN] {
    let (kind, handle) = (Kind::FilterProbe, client.peer_index);
    let message = Keepalive { kind, status, handle, counter, cookie: None };
    short(&message, &client.keepalive_down)
}
