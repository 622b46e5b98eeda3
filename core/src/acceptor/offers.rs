//! Second connection requests: from the sealed offer to the dial-back.
//!
//! Who states no port is not dialled: it has no listener, or asks for another path of a connection
//! that stands. A hole is all there is to it then.

use super::View;
use super::admission::Entry;
use super::connection::{DIAL, NO_REQUEST, PARK, Stage};
use super::queue::{Asked, News};
use crate::addr::Endpoint;
use crate::crypto::keys::{Direction, Root};
use crate::crypto::mac;
use crate::crypto::noise::{Link as NoiseLink, Responder};
use crate::hole::renewal_key;
use crate::id::{EquipmentId, StreamId};
use crate::link::Transport;
use crate::machine::{Command, Discard};
use crate::peer::slots::name;
use crate::peer::{Path, Peer};
use crate::wire::codec::{Writer, read_padded_body, write_body};
use crate::wire::message::{
    Accept, ConnectNotify, NotifyReply, Offer, Reason, Verdict, WholeOffer,
};
use crate::wire::{ANSWER_BODY, Kind, OFFER_BODY, OFFER_LEN, TAG_LEN};

/// What becomes of an offer that was opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    /// The word on it is said.
    Decided,
    /// It waits until the password try is on stable storage.
    Parked,
    /// It was about a connection that stands, and the application is not troubled.
    Renewal,
}

impl View<'_> {
    /// Second connection request.
    pub(super) fn notify(&mut self, over: Transport, notify: &ConnectNotify<'_>) {
        let request = notify.request;
        let parked =
            |slot: &super::ConnectionSlot| slot.stage == Stage::Parked && slot.is_for(request);
        let parked = self.slots.iter().any(parked);
        let repeated = self.state.admission.repeated(notify.offer, request);
        if !parked && repeated.is_none() && self.state.asked.is_some() {
            // There is room for one to tell the application of. The server asks, or wakes, again.
            return self.state.counters.discard(Discard::TableFull);
        }
        if self.state.registration.fetching == Some(request) {
            self.state.registration.fetched = true;
        }
        if parked {
            return; // Not a word before the try is counted on stable storage (T19).
        }
        if let Some(verdict) = repeated {
            return self.reply(over, request, verdict);
        }
        let now = self.state.now;
        let result = self.consider(over, notify);
        let (issuer, verdict, course) = match result {
            Ok((issuer, verdict, course)) => (Some(issuer), verdict, course),
            Err(reason) => (None, Verdict::Declined(reason), Course::Decided),
        };
        let parked = course == Course::Parked;
        let word = if parked { Verdict::Declined(Reason::Busy) } else { verdict };
        self.state.admission.remember(now, notify.offer, request, word);
        match course {
            Course::Decided => self.decide(over, request, issuer, notify.issuer, verdict),
            Course::Parked => self.state.event(News::Persist),
            Course::Renewal => self.reply(over, request, verdict),
        }
    }

    /// Opens an offer and fills a slot for it.
    #[inline(never)]
    fn consider(
        &mut self,
        over: Transport,
        notify: &ConnectNotify<'_>,
    ) -> Result<(EquipmentId, Verdict, Course), Reason> {
        let now = self.state.now;
        if notify.offer.len() != OFFER_LEN {
            return Err(Reason::BadOffer);
        }
        let room = self.room(notify.issuer);
        // Another path for a connection that stands needs no room.
        if notify.issuer.port() != 0 {
            room?;
        }
        let ephemeral = self.draw().secret().map_err(|_| Reason::Busy)?;
        let mut plain = [0; OFFER_BODY];
        let mut responder = Responder::new(NoiseLink::Peer, &self.state.equipment.key, ephemeral);
        let who = responder.read(notify.offer, &mut plain).ok_or(Reason::BadOffer)?;
        let who = EquipmentId(who);
        let whole = read_padded_body::<WholeOffer>(&plain).ok_or(Reason::BadOffer)?;
        let offer = &whole.offer;
        zeroize::Zeroize::zeroize(&mut plain);
        if whole.renewal {
            let verdict = self.renewed(over, notify, who, offer);
            let unknown = Verdict::Declined(Reason::NotAllowed);
            return Ok((who, verdict.unwrap_or(unknown), Course::Renewal));
        }
        let (address, index) = room?;
        let clock = self.state.equipment.wall_clock(now);
        let entry = self.state.admission.entry(now, clock, who, offer)?;
        // Strangers never take the last slot of a device that has paired issuers (T30).
        let free = self.slots.iter().filter(|slot| slot.stage == Stage::Free).count();
        let kept = self.state.admission.has_paired() && self.slots.len() > 1;
        if entry != Entry::Paired && kept && free < 2 {
            return Err(Reason::Busy);
        }
        let (matches, park) = match entry {
            Entry::Paired | Entry::Open => (true, false),
            Entry::Password(information) => self.state.admission.try_password(now, &information),
        };
        // Only who comes in costs a dial: wrong passwords cannot use the budget up.
        if matches && !self.state.admission.may_dial(now, entry) {
            return Err(Reason::Busy);
        }
        let verdict =
            if matches { Verdict::Accepted } else { Verdict::Declined(Reason::WrongPassword) };
        if matches || park {
            let root = self.answer(index, &mut responder, offer, entry).ok_or(Reason::Busy)?;
            self.fill(index, over, notify, address, root, who, offer, entry).ok_or(Reason::Busy)?;
        }
        if park {
            let slot = self.slots.get_mut(index).ok_or(Reason::Busy)?;
            slot.verdict = verdict;
            slot.enter(Stage::Parked, Some(now.after(PARK)));
        } else if matches {
            self.dial(index);
        }
        Ok((who, verdict, if park { Course::Parked } else { Course::Decided }))
    }

    /// The address that may be dialled or, without a port, punched to, and the slot that is free for
    /// it.
    fn room(&mut self, issuer: Endpoint) -> Result<(Endpoint, usize), Reason> {
        let mut address = issuer;
        if issuer.port() == 0 {
            if !self.state.puncher.gauge.is_invited() {
                return Err(Reason::Unreachable);
            }
            address = issuer.at_port(u16::MAX);
        }
        if !self.state.addresses.permits(address) {
            self.state.counters.discard(Discard::ForbiddenAddress);
            return Err(Reason::ForbiddenAddress);
        }
        let free = self.slots.iter().position(|slot| slot.stage == Stage::Free);
        Ok((issuer, free.ok_or(Reason::Busy)?))
    }

    /// An issuer whose connection stands asks for another path for it: the offer is its own, by its
    /// key, names the connection's index, and is made with the connection's punch key; a new request
    /// may have the index too. Nobody is dialled; the hole is all there is to it.
    fn renewed(
        &mut self,
        over: Transport,
        notify: &ConnectNotify<'_>,
        who: EquipmentId,
        offer: &Offer,
    ) -> Option<Verdict> {
        self.state.puncher.ability()?;
        let theirs = |slot: &super::ConnectionSlot| {
            let key = renewal_key(&slot.punch_key, notify.offer);
            let same = |peer: &Peer| peer.id == who && peer.session.peer_index == offer.index;
            crate::crypto::equal(&key, &offer.punch_key)
                && slot.stage == Stage::Open
                && slot.peer.as_ref().is_some_and(same)
        };
        let index = self.slots.iter().position(theirs)?;
        if !self.state.admission.may_dial(self.state.now, Entry::Paired) {
            return Some(Verdict::Declined(Reason::Busy));
        }
        let slot = self.slots.get_mut(index)?;
        slot.request = notify.request;
        slot.over = over;
        slot.address = Some(notify.issuer);
        slot.renewing = Some(offer.punch_key);
        slot.way.forget();
        Some(Verdict::Accepted)
    }

    /// Writes the communication request into a slot; the root of the session that it begins.
    #[inline(never)]
    fn answer(
        &mut self,
        index: usize,
        responder: &mut Responder,
        offer: &Offer,
        entry: Entry,
    ) -> Option<Root> {
        let paired = entry == Entry::Paired;
        let early_key = if paired { self.state.admission.early_key } else { None };
        let mut payload = [0; ANSWER_BODY];
        write_body(&Accept { early_key }, &mut payload)?;
        let handle = name(self.slots, index).to_handle();
        let slot = self.slots.get_mut(index)?;
        let (head, noise) = slot.answer.split_at_mut_checked(6 + TAG_LEN)?;
        let root = responder.answer(&payload, noise)?;
        // The tag lets the issuer find its request; it covers our ephemeral key, so that no byte
        // of it is the issuer's choice (T13).
        let tag = mac::tag(&offer.punch_key, &[noise.get(..32)?]);
        let mut writer = Writer::new(head);
        writer.put(&[Kind::Answer as u8, 0]);
        writer.put(&handle.to_be_bytes());
        writer.put(&tag);
        Some(root)
    }

    /// Writes the session and what else is known of it into a slot.
    #[expect(clippy::too_many_arguments, reason = "one call, which only splits `consider`")]
    #[inline(never)]
    fn fill(
        &mut self,
        index: usize,
        over: Transport,
        notify: &ConnectNotify<'_>,
        address: Endpoint,
        root: Root,
        who: EquipmentId,
        offer: &Offer,
        entry: Entry,
    ) -> Option<()> {
        let slot = self.slots.get_mut(index)?;
        let stream = StreamId {
            index: u16::try_from(index).ok()?.checked_add(1)?,
            generation: slot.generation,
        };
        let path = Path::Stream { stream, remote: address };
        slot.punch_key = offer.punch_key;
        slot.peer = Some(Peer::new(self.state.now, who, root, Direction::Down, offer.index, path));
        slot.request = notify.request;
        slot.over = over;
        slot.address = Some(notify.issuer);
        slot.by_password = matches!(entry, Entry::Password(_));
        Some(())
    }

    pub(super) fn dial(&mut self, index: usize) {
        let now = self.state.now;
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.enter(Stage::Dialling, Some(now.after(DIAL)));
        if let Some(Path::Stream { stream, remote }) = slot.peer.as_ref().map(|peer| peer.path)
            && remote.port() != 0
        {
            slot.stream = Some(stream);
            self.state.command(Command::Connect { stream, remote: remote.into() });
        }
    }

    pub(super) fn decide(
        &mut self,
        over: Transport,
        request: u32,
        issuer: Option<EquipmentId>,
        address: Endpoint,
        verdict: Verdict,
    ) {
        self.state.ask(Asked { issuer, address, verdict });
        self.reply(over, request, verdict);
    }

    pub(super) fn reply(&mut self, over: Transport, request: u32, verdict: Verdict) {
        let reply = NotifyReply { request, verdict };
        // Whoever asked without a number that stands is a server that is the acceptor's no more.
        if request == NO_REQUEST || self.state.replies.iter().any(|(_, waiting)| *waiting == reply)
        {
            return;
        }
        if self.state.replies.push_back((over, reply)).is_err() {
            // The server asks again, and gets the remembered word then.
            self.state.counters.discard(Discard::TableFull);
        }
    }

    /// The count of password tries is on stable storage: act upon what was parked.
    pub(super) fn act_on_persisted(&mut self, failures: u32) {
        if !self.state.admission.persisted(failures) {
            return;
        }
        let now = self.state.now;
        for slot in self.slots.iter_mut().filter(|slot| slot.stage == Stage::Parked) {
            slot.until = Some(now);
        }
        self.expire_slots();
    }

    /// Acts upon a parked request whose try is on stable storage.
    pub(super) fn act_on(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let (over, request, verdict) = (slot.over, slot.request, slot.verdict);
        let issuer = slot.peer.as_ref().map(|peer| peer.id);
        let address = slot.address;
        self.state.admission.settled(request, verdict);
        if verdict == Verdict::Accepted {
            self.dial(index);
        } else {
            slot.free();
        }
        if let Some(address) = address {
            self.decide(over, request, issuer, address, verdict);
        }
    }
}
