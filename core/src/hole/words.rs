//! What an equipment has to say to the server about measuring and punching, in order.

use heapless::Deque;

use crate::wire::message::{Heard, Range, ToServer};

/// Words that wait. None is needed for more than speed: what finds no room is left out.
#[derive(Debug, Default)]
pub(crate) struct Words {
    waiting: Deque<ToServer<'static>, 4>,
}

impl Words {
    pub(crate) const fn new() -> Self {
        Self { waiting: Deque::new() }
    }

    fn say(&mut self, word: ToServer<'static>) {
        let waits = self.waiting.iter().any(|waiting| *waiting == word);
        if !waits {
            let _full = self.waiting.push_back(word);
        }
    }

    /// What the equipment can do.
    pub(crate) fn can(&mut self, bits: u32) {
        self.say(ToServer::Can(bits));
    }

    /// It has heard the peer of this request.
    pub(crate) fn heard(&mut self, request: u32) {
        self.say(ToServer::Heard(Heard { request }));
    }

    /// It has computed a range.
    pub(crate) fn range(&mut self, range: Range) {
        self.say(ToServer::Range(range));
    }

    pub(crate) fn front(&self) -> Option<&ToServer<'static>> {
        self.waiting.front()
    }

    pub(crate) fn sent(&mut self) {
        self.waiting.pop_front();
    }

    /// The session that they were for is gone.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}
