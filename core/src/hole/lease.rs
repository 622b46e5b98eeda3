//! The port that a box has opened for an equipment's registered socket, and what of it the server is
//! to be told: the port, and what a probe to it has carried, which proves that it leads here.
//!
//! Each is said a few times, because no answer shows that it was heard.

use super::way::Puncher;
use crate::addr::Endpoint;
use crate::limit::{Bucket, Rate};
use crate::time::Instant;
use crate::wire::punch::{FROM_OTHER_ADDRESS, FROM_OTHER_PORT};

/// How often each is said to a server that does not react.
const AGAIN: u8 = 4;
/// Proofs that are taken: those of a measurement are two.
const TAKEN: Rate = Rate::new(8, 10_000);
/// A probe's status that says that it comes from the server's other address.
const OTHER_ADDRESS: u8 = 2;

/// A leased port.
#[derive(Debug)]
pub(super) struct Lease {
    /// 0: none.
    pub(super) port: u16,
    /// It was not the port where the server saw us, so whom we have sent to opens nothing of it.
    another: bool,
    /// How often that is said yet.
    again: u8,
    /// The status of the probe that has come to it, and what that has carried; 0: none has.
    probe: u8,
    proof: u64,
    /// How often that is said yet.
    proof_again: u8,
    /// Of proofs: a probe is no longer than a word, and may be a copy.
    taken: Bucket,
}

impl Lease {
    pub(super) const NONE: Self = Self {
        port: 0,
        another: false,
        again: 0,
        probe: 0,
        proof: 0,
        proof_again: 0,
        taken: Bucket::EMPTY,
    };

    const fn of(port: u16, another: bool, taken: Bucket) -> Self {
        Self { port, another, again: AGAIN, taken, ..Self::NONE }
    }
}

impl Puncher {
    /// The box has opened another port for the registered socket, seen at `observed` so far, or (0)
    /// none any more.
    pub(crate) fn lease(&mut self, port: u16, observed: Option<Endpoint>) {
        if self.lease.port != port && self.ability().is_some() {
            let another = observed.is_none_or(|observed| observed.port() != port);
            self.lease = Lease::of(port, another, self.lease.taken);
        }
    }

    /// In a new session all is said anew.
    pub(super) fn lease_again(&mut self) {
        if self.lease.port != 0 {
            self.lease = Lease::of(self.lease.port, self.lease.another, self.lease.taken);
            self.say_leased();
        }
    }

    /// Whether the server is yet to be told what is leased, and may be. A measurement that is under
    /// way is waited for: its packets cannot know of probes that come later.
    pub(crate) const fn has_leased_to_say(&self) -> bool {
        self.lease.again > 0 && self.gauge.is_at_rest()
    }

    /// Says what is leased, where that is to be said. Whether it is said.
    pub(crate) fn repeat_leased(&mut self) -> bool {
        let says = self.has_leased_to_say();
        if says {
            self.say_leased();
        }
        says
    }

    fn say_leased(&mut self) {
        self.lease.again = self.lease.again.saturating_sub(1);
        if self.lease.another {
            // Now, and not when it was leased: a measurement may have been under way.
            self.gauge.forget_opened();
        }
        self.words.leased(self.lease.port);
    }

    /// A probe has come that the NAT was not opened for, and has carried this. Where one from the
    /// other address has come, one from the other port proves nothing more.
    pub(super) fn reached(&mut self, now: Instant, probe: u8, proof: u64) {
        let counts = match probe {
            1 => self.gauge.probes & FROM_OTHER_PORT != 0,
            OTHER_ADDRESS => self.gauge.probes & FROM_OTHER_ADDRESS != 0,
            _ => false,
        };
        let lease = &mut self.lease;
        let news = probe >= lease.probe && proof != lease.proof;
        if counts && lease.port != 0 && news && lease.taken.take(now, TAKEN) {
            (lease.probe, lease.proof, lease.proof_again) = (probe, proof, AGAIN);
        }
        self.tell_reached();
    }

    /// Says that a probe has come, unless that was said before.
    pub(super) fn tell_reached(&mut self) {
        if self.lease.proof_again == AGAIN {
            self.say_reached();
        }
    }

    /// Says, or says again, that a probe has come, where that is to be said: one from the other
    /// address, or from the other port of a server that has none.
    pub(crate) fn say_reached(&mut self) {
        let Some(second) = self.gauge.has_second() else { return };
        let tells = self.lease.probe == OTHER_ADDRESS || !second;
        if let (Some(again), true) = (self.lease.proof_again.checked_sub(1), tells) {
            self.lease.proof_again = again;
            let [_, _, proof @ ..] = self.lease.proof.to_be_bytes();
            self.words.reached(proof);
        }
    }
}
