//! What an equipment has to say to the server about measuring and punching, in order.

use heapless::Deque;

use crate::wire::message::{Heard, Life, Range, ToServer};

/// One of them; a [`ToServer`] would take the memory of the longest message of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    Can(u32),
    Heard(Heard),
    Range(Range),
    Life(Life),
    Leased(u16),
    Reached([u8; 6]),
}

/// Words that wait. None is needed for more than speed: what finds no room is left out.
#[derive(Debug, Default)]
pub(crate) struct Words {
    waiting: Deque<Word, 4>,
}

impl Words {
    pub(crate) const fn new() -> Self {
        Self { waiting: Deque::new() }
    }

    fn say(&mut self, word: Word) {
        let waits = self.waiting.iter().any(|waiting| *waiting == word);
        if !waits {
            let _full = self.waiting.push_back(word);
        }
    }

    /// What the equipment can do.
    pub(crate) fn can(&mut self, bits: u32) {
        self.say(Word::Can(bits));
    }

    /// Its box has opened this port for the registered socket; 0: not any more.
    pub(crate) fn leased(&mut self, port: u16) {
        self.say(Word::Leased(port));
    }

    /// A probe has come to that port, and has carried this.
    pub(crate) fn reached(&mut self, proof: [u8; 6]) {
        self.say(Word::Reached(proof));
    }

    /// It has heard the peer of this request.
    pub(crate) fn heard(&mut self, request: u32) {
        self.say(Word::Heard(Heard { request }));
    }

    /// It has computed a range.
    pub(crate) fn range(&mut self, range: Range) {
        self.say(Word::Range(range));
    }

    /// What it knows of its NAT's lifetime, and the wish for a probe.
    pub(crate) fn life(&mut self, life: Life) {
        self.say(Word::Life(life));
    }

    pub(crate) fn front(&self) -> Option<ToServer<'static>> {
        Some(match *self.waiting.front()? {
            Word::Can(bits) => ToServer::Can(bits),
            Word::Heard(heard) => ToServer::Heard(heard),
            Word::Range(range) => ToServer::Range(range),
            Word::Life(life) => ToServer::Life(life),
            Word::Leased(port) => ToServer::Leased(port),
            Word::Reached(proof) => ToServer::Reached(proof),
        })
    }

    pub(crate) fn sent(&mut self) {
        self.waiting.pop_front();
    }

    /// The session that they were for is gone.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}
