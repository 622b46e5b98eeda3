//! An issuer with a key of its own and no manners: makes offers, takes the communication request, and
//! speaks in the session that comes of it.

use genkan_core::wire::{ANSWER_LEN, Kind, OFFER_BODY, OFFER_LEN};
use genkan_core::{EquipmentId, StreamId};
use genkan_tests::evil::{PEER_LINK, body, initiator, plain_offer, root, siphash};

use crate::peer::Session;
use crate::speech::key;

/// The stream of a session that came about over datagrams.
pub(crate) const NOWHERE: StreamId = StreamId { index: u16::MAX, generation: u16::MAX };

/// How many there are.
pub(crate) const CALLERS: usize = 4;

#[derive(Debug)]
pub(crate) struct Caller {
    secret: u8,
    offers: u8,
    state: Option<Box<snow::HandshakeState>>,
    sealed: Vec<u8>,
    password: Option<[u8; 32]>,
    /// In the newest offer, and in that of the session.
    punch_keys: [[u8; 16]; 2],
    session: Option<Session>,
    /// Something has left unchanged in that session.
    spoken: bool,
}

fn secret(number: usize) -> u8 {
    20 + u8::try_from(number).unwrap_or(0)
}

impl Caller {
    pub(crate) fn new(number: usize) -> Self {
        let (offers, state, sealed, password, punch_keys, session, spoken) = Default::default();
        let secret = secret(number);
        Self { secret, offers, state, sealed, password, punch_keys, session, spoken }
    }

    pub(crate) fn id_of(number: usize) -> EquipmentId {
        key(secret(number)).id()
    }

    pub(crate) fn id(&self) -> EquipmentId {
        key(self.secret).id()
    }

    /// Makes a new offer to `acceptor`.
    pub(crate) fn offer(
        &mut self,
        acceptor: &EquipmentId,
        password: Option<[u8; 32]>,
        counter: u64,
        renews: bool,
    ) {
        self.offers = self.offers.wrapping_add(1);
        let ephemeral = [self.offers | 1, self.secret].repeat(16);
        let ephemeral = ephemeral.first_chunk().expect("32 bytes");
        let begin = || initiator(&key(self.secret), &acceptor.0, PEER_LINK, ephemeral);
        let mut out = [0; OFFER_LEN];
        let mut punch_key = [self.secret ^ self.offers; 16];
        if renews {
            // The message begins with the ephemeral key, whatever is in it.
            begin().write_message(&[0; OFFER_BODY], &mut out).expect("room");
            punch_key = siphash(&self.punch_keys[1], &[b"renew", &out[..32]]);
        }
        self.punch_keys[0] = punch_key;
        let plain = plain_offer(password);
        let offer = genkan_core::wire::message::Offer { counter, punch_key, ..plain };
        let mut state = begin();
        let len = state.write_message(&body(&offer, OFFER_BODY), &mut out).expect("room");
        assert_eq!(len, OFFER_LEN);
        self.sealed = out.to_vec();
        self.password = password;
        self.state = Some(Box::new(state));
    }

    pub(crate) const fn punch_key(&self) -> [u8; 16] {
        self.punch_keys[0]
    }

    pub(crate) const fn has_offer(&self) -> bool {
        !self.sealed.is_empty()
    }

    pub(crate) fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    pub(crate) const fn password(&self) -> Option<[u8; 32]> {
        self.password
    }

    /// A message of the acceptor's on one of the streams that it has dialled.
    pub(crate) fn hears(&mut self, stream: StreamId, message: &[u8]) {
        if Kind::of(message) != Ok(Kind::Answer) || message.len() != ANSWER_LEN {
            return;
        }
        let Some(mut state) = self.state.take() else { return };
        let mut plain = [0; 1_024];
        // Another caller's answer does not fit; whoever it is for knows it.
        if state.read_message(&message[22..], &mut plain).is_ok() {
            let handle = u32::from_be_bytes(*message[2..].first_chunk().expect("an index"));
            self.session = Some(Session::issuers(stream, &root(&mut state), handle));
            self.spoken = false;
            self.punch_keys[1] = self.punch_keys[0];
        } else {
            self.state = Some(state);
        }
    }

    /// A sealed body, and the stream that it is for.
    pub(crate) fn says(&mut self, body: &[u8]) -> Option<(StreamId, Vec<u8>)> {
        Some(self.session.as_mut()?.says(body))
    }

    /// What was sealed last leaves unchanged.
    pub(crate) const fn spoken(&mut self) {
        self.spoken = true;
    }

    /// On that stream; over datagrams its messages travel by any path.
    pub(crate) fn has_spoken(&self, stream: Option<StreamId>) -> bool {
        let here = |session: &Session| stream.is_none_or(|stream| session.stream == stream);
        self.spoken && self.session.as_ref().is_some_and(here)
    }

    /// The acceptor has rebooted.
    pub(crate) fn cut(&mut self) {
        self.session = None;
    }
}
