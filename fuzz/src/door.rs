//! An acceptor with a key of its own and no manners: opens offers that are for it, answers them, and
//! speaks in the session that comes of it.

use genkan_core::inspect;
use genkan_core::wire::message::{Accept, Offer};
use genkan_core::wire::{ANSWER_BODY, Kind};
use genkan_core::{EquipmentId, StreamId};
use genkan_tests::evil::{PEER_LINK, body, responder, root, siphash};

use crate::peer::Session;
use crate::speech::key;

/// How many there are.
pub(crate) const DOORS: usize = 3;
/// Its index for every session.
const INDEX: u32 = 5;

#[derive(Debug)]
pub(crate) struct Door {
    secret: u8,
    answers: u8,
    /// The offers that were for it, the newest last.
    offers: Vec<Vec<u8>>,
    session: Option<Session>,
}

impl Door {
    pub(crate) fn new(number: usize) -> Self {
        let secret = 30 + u8::try_from(number).unwrap_or(0);
        Self { secret, answers: 0, offers: Vec::new(), session: None }
    }

    pub(crate) fn id(&self) -> EquipmentId {
        key(self.secret).id()
    }

    /// An offer has passed by.
    pub(crate) fn sees(&mut self, offer: &[u8]) {
        let known = self.offers.iter().any(|other| other == offer);
        if !known && inspect::open_offer(&key(self.secret), offer).is_some() {
            self.offers.push(offer.to_vec());
        }
    }

    /// What is in an offer that is for it.
    pub(crate) fn opens(&self, offer: &[u8]) -> Option<Offer> {
        Some(inspect::open_offer(&key(self.secret), offer)?.1)
    }

    /// The communication request to the offer that is `back` from the newest. The session begins with
    /// it, whether it arrives or not.
    pub(crate) fn answer(
        &mut self,
        back: usize,
        stream: StreamId,
        early_key: Option<[u8; 16]>,
    ) -> Option<Vec<u8>> {
        let count = self.offers.len();
        let sealed = self.offers.get(count.checked_sub(1 + back % count.max(1))?)?;
        let (_, offer) = inspect::open_offer(&key(self.secret), sealed)?;
        self.answers = self.answers.wrapping_add(1);
        let mut state = responder(&key(self.secret), PEER_LINK, &[self.answers | 1; 32]);
        let mut noise = [0; 1_024];
        state.read_message(sealed, &mut noise).ok()?;
        let accept = body(&Accept { early_key }, ANSWER_BODY);
        let len = state.write_message(&accept, &mut noise).ok()?;
        let mut out = vec![Kind::Answer as u8, 0];
        out.extend(INDEX.to_be_bytes());
        out.extend(siphash(&offer.punch_key, &[&noise[..32]]));
        out.extend(&noise[..len]);
        self.session = Some(Session::acceptors(stream, &root(&mut state), offer.index));
        Some(out)
    }

    /// A sealed body, and the stream that it is for.
    pub(crate) fn says(&mut self, body: &[u8]) -> Option<(StreamId, Vec<u8>)> {
        Some(self.session.as_mut()?.says(body))
    }

    /// The issuer has rebooted.
    pub(crate) fn cut(&mut self) {
        self.session = None;
    }
}
