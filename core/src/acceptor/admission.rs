//! Whether an offer may become a connection.
//!
//! In this order, cheapest first: a repeated offer gets the same word again; the issuer's address
//! must be one that this device may dial, within its dial budget; a slot must be free; the offer must
//! open under the device's key; and the issuer must be on the pairing list, or bring the password,
//! or the device must be open to anyone.
//!
//! A password try is counted *before* it is acted upon (threat T19). The count is persisted in
//! blocks of four, so that honest use costs no flash: only when the reserved number is reached does
//! the device ask its caller to write, and it parks the connection until that is done. A confirmed
//! session brings the count down again. Further tries wait: 3 s after the third, doubling to 60 s,
//! and never for good. A power cycle gives one try without waiting, no more. Paired issuers do not
//! wait.

use core::time::Duration;

use heapless::Vec;

use crate::crypto::keys::{PasswordRecord, fingerprint, half};
use crate::id::EquipmentId;
use crate::limit::{Bucket, Rate};
use crate::time::Instant;
use crate::wire::message::{Offer, Reason, Verdict};

/// The most issuers on a pairing list.
pub(crate) const MAX_PAIRED: usize = 8;
/// How many offers are remembered, to recognise repeats.
const REMEMBERED: usize = 16;
/// How long an offer is remembered, were the memory not overrun; with clocks at both ends, also how
/// old an offer may be.
const REMEMBER: Duration = Duration::from_secs(300);
/// How many tries are reserved with one write.
const RESERVE: u32 = 4;
/// Tries without waiting.
const FREE_TRIES: u32 = 3;
const WAIT_BASE: Duration = Duration::from_secs(3);
const WAIT_CAP: Duration = Duration::from_secs(60);
/// Dials that strangers can cause, of whatever address: eight at once, then one in 10 s.
const STRANGER_DIALS: Rate = Rate::new(8, 10_000);
/// Dials that paired issuers can cause, over and above.
const PAIRED_DIALS: Rate = Rate::new(16, 2_000);

/// Who may connect.
#[derive(Clone, Debug, Default)]
pub struct AdmissionPolicy {
    /// The password's record; issuers that bring the password are admitted.
    pub password: Option<PasswordRecord>,
    /// The number of failed tries that was persisted last.
    pub failures: u32,
    /// Issuers that are admitted by their key.
    pub paired: Vec<EquipmentId, MAX_PAIRED>,
    /// Anybody is admitted. For services that authenticate by themselves.
    pub open: bool,
    /// The acceptor's current early key: given to the server and to issuers on the pairing list.
    pub early_key: Option<[u8; 16]>,
}

/// How an issuer may come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// By its key.
    Paired,
    /// Everybody may.
    Open,
    /// By this password information, if it is the right one.
    Password([u8; 32]),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    /// Of its fingerprint. Who finds two offers that share it, both of his own making, gets the first
    /// one's word for the second. Others' share it by chance, one in 2^28.
    offer: [u8; 4],
    request: u32,
    /// When, in seconds modulo 2^16: one that is due to be forgotten may be kept for longer.
    at: u16,
    verdict: Verdict,
}

fn print(offer: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = fingerprint(offer);
    [a, b, c, d]
}

/// An issuer that is admitted by its key.
#[derive(Clone, Copy, Debug)]
struct Paired {
    /// The key's first half. To make a key pair that has it is as hard as to find the secret one of
    /// the whole key.
    id: [u8; 16],
    /// Of its last offer.
    counter: u64,
}

/// The pairing list `paired`; whoever was `known` before keeps his counter.
fn listed(paired: &[EquipmentId], known: &[Paired]) -> Vec<Paired, MAX_PAIRED> {
    let mut list = Vec::new();
    for id in paired {
        let id = half(&id.0);
        let counter = known.iter().find(|known| known.id == id).map_or(0, |known| known.counter);
        let _as_many_as_fit = list.push(Paired { id, counter });
    }
    list
}

#[derive(Debug)]
pub(crate) struct Admission {
    password: Option<PasswordRecord>,
    issuers: Vec<Paired, MAX_PAIRED>,
    open: bool,
    pub(super) early_key: Option<[u8; 16]>,
    seen: Vec<Seen, REMEMBERED>,
    pub(super) tries: u32,
    reserved: u32,
    persisted: u32,
    last_try: Instant,
    strangers: Bucket,
    paired: Bucket,
}

impl Admission {
    pub(super) fn new(now: Instant, policy: AdmissionPolicy) -> Self {
        let failures = policy.failures;
        // One block on stable storage is what honest use leaves there.
        let tries = if failures <= RESERVE { failures.min(FREE_TRIES - 1) } else { failures };
        Self {
            password: policy.password,
            issuers: listed(&policy.paired, &[]),
            open: policy.open,
            early_key: policy.early_key,
            seen: Vec::new(),
            tries,
            reserved: failures,
            persisted: failures,
            last_try: now,
            strangers: Bucket::EMPTY,
            paired: Bucket::EMPTY,
        }
    }

    /// Another policy; what was counted stays.
    pub(super) fn set_policy(&mut self, policy: AdmissionPolicy) {
        let AdmissionPolicy { password, paired, open, .. } = policy;
        self.issuers = listed(&paired, &self.issuers);
        (self.password, self.open) = (password, open);
    }

    /// Whether an issuer is on the pairing list.
    pub(super) fn is_paired(&self, who: EquipmentId) -> bool {
        self.issuers.iter().any(|paired| paired.id == half(&who.0))
    }

    /// Whether any is.
    pub(super) fn has_paired(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// The number to persist.
    pub(super) const fn reserved(&self) -> u32 {
        self.reserved
    }

    /// What was said to this very offer before. Under another request number it is a replay.
    pub(super) fn repeated(&self, offer: &[u8], request: u32) -> Option<Verdict> {
        let print = print(offer);
        let seen = self.seen.iter().find(|seen| seen.offer == print)?;
        Some(if seen.request == request {
            seen.verdict
        } else {
            Verdict::Declined(Reason::BadOffer)
        })
    }

    /// Remembers what was said to an offer. The oldest makes room: refusing new offers instead would
    /// let a flood of strangers' lock everybody out, and all that a replay gains is a dial to where
    /// the issuer once was, within the dial budget.
    pub(super) fn remember(&mut self, now: Instant, offer: &[u8], request: u32, verdict: Verdict) {
        let offer = print(offer);
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.offer == offer) {
            seen.verdict = verdict;
            return;
        }
        let [.., high, low] = now.as_secs().to_be_bytes();
        let at = u16::from_be_bytes([high, low]);
        self.seen.retain(|seen| u64::from(at.wrapping_sub(seen.at)) <= REMEMBER.as_secs());
        if self.seen.is_full() {
            self.seen.remove(0);
        }
        let _room_was_made = self.seen.push(Seen { offer, request, at, verdict });
    }

    /// The word on a request that had to wait for its try to be persisted.
    pub(super) fn settled(&mut self, request: u32, verdict: Verdict) {
        if let Some(seen) = self.seen.iter_mut().rev().find(|seen| seen.request == request) {
            seen.verdict = verdict;
        }
    }

    /// How the issuer of an opened offer may come in. `clock` is the trusted clock's time.
    pub(super) fn entry(
        &mut self,
        now: Instant,
        clock: Option<u64>,
        who: EquipmentId,
        offer: &Offer,
    ) -> Result<Entry, Reason> {
        if let (Some(clock), 1..) = (clock, offer.time)
            && clock.abs_diff(offer.time) > REMEMBER.as_secs()
        {
            return Err(Reason::BadOffer);
        }
        if let Some(paired) = self.issuers.iter_mut().find(|paired| paired.id == half(&who.0)) {
            if offer.counter != 0 && offer.counter <= paired.counter {
                return Err(Reason::BadOffer);
            }
            paired.counter = offer.counter.max(paired.counter);
            return Ok(Entry::Paired);
        }
        if self.open {
            return Ok(Entry::Open);
        }
        match (offer.password, &self.password) {
            (Some(_), Some(_)) if now < self.next_try() => Err(Reason::WrongPassword),
            (Some(information), Some(_)) => Ok(Entry::Password(information)),
            _ => Err(Reason::NotAllowed),
        }
    }

    /// When the next password try will be looked at.
    fn next_try(&self) -> Instant {
        match self.tries.checked_sub(FREE_TRIES) {
            None => Instant::START,
            Some(more) => {
                self.last_try.after(WAIT_BASE.saturating_mul(1 << more.min(5)).min(WAIT_CAP))
            }
        }
    }

    /// Counts a try, then compares. The second value says whether the count must be persisted
    /// before the first may be acted upon.
    pub(super) fn try_password(&mut self, now: Instant, information: &[u8; 32]) -> (bool, bool) {
        self.tries = self.tries.saturating_add(1);
        self.last_try = now;
        if self.tries > self.reserved {
            self.reserved = self.tries.saturating_add(RESERVE - 1);
        }
        let matches = self.password.as_ref().is_some_and(|record| record.matches(information));
        (matches, self.reserved > self.persisted)
    }

    /// Whether all tries are on stable storage.
    pub(super) const fn is_persisted(&self) -> bool {
        self.persisted >= self.reserved
    }

    /// A number is on stable storage; says whether it covers all tries.
    pub(super) const fn persisted(&mut self, failures: u32) -> bool {
        self.persisted = failures;
        failures >= self.reserved
    }

    /// A session that came in by password was confirmed: the tries before it were honest. Says
    /// whether the persisted number should come down.
    pub(super) const fn confirmed(&mut self) -> bool {
        self.tries = 0;
        let high = self.reserved > RESERVE;
        if high {
            self.reserved = RESERVE;
        }
        high
    }

    /// Takes a dial from the budget.
    pub(super) fn may_dial(&mut self, now: Instant, entry: Entry) -> bool {
        match entry {
            Entry::Paired => self.paired.take(now, PAIRED_DIALS),
            Entry::Open | Entry::Password(_) => self.strangers.take(now, STRANGER_DIALS),
        }
    }
}
