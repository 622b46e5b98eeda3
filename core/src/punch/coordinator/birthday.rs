//! Guessing drawn ports.
//!
//! A guess at a port from which no bubble has left yet is not lost where the guesser's own port is
//! known: the bubble goes there, and the guess has opened that filter for it. So both ends begin at
//! once. Elsewhere the guesses wait until all mappings are made.
//!
//! Guesses go on for as long as there are any, so the next tries only say again what may have been
//! lost on its way: an end passes over what it has.

use super::super::attempt::{GUESSES_AT_ONCE, PACE};
use super::super::burst::{Bracket, Burst};
use super::super::plan::{End, Kind, guess_each_other};
use super::Coordinator;
use crate::time::Instant;

impl Coordinator {
    pub(super) fn begin_birthday(&mut self, now: Instant) {
        let bubbles = u32::from(self.plan.bubbles);
        let again = self.tries() > 0;
        let round = self.first_round();
        let guesser = self.plan.bubbler.other();
        let waits = Kind::of(&self.party(guesser).profile) != Kind::Known;
        let [first, second] = self.guessed();
        // Who guesses too has been told that after its bubbles.
        for end in [first, second].into_iter().flatten().filter(|_| !again || second.is_none()) {
            let to = self.party(end.other()).observed.port();
            let sockets = self.plan.bubbles.min(self.party(end).limits.sockets);
            let burst = Burst::from_fresh(round, sockets, to, Bracket::None);
            self.give(end, Burst { once: waits, ..burst });
        }
        if waits && !again {
            let paced = bubbles.saturating_sub(GUESSES_AT_ONCE).saturating_add(1);
            let wait = PACE.saturating_mul(paced);
            self.straggler = Some(now.after(wait));
            self.next_try = self.next_try.map(|at| at.after(wait));
        } else {
            self.guess();
        }
    }

    /// Guesses at the bubbles' ports.
    pub(super) fn guess(&mut self) {
        self.aimed = true;
        let round = self.first_round();
        for end in self.guessed().into_iter().flatten() {
            let ports = self.party(end).profile.span.forecast();
            let most = self.party(end.other()).limits.guesses;
            let guesses = Burst::from_registered(round, ports, self.plan.replies.min(most));
            self.give(end.other(), Burst { once: true, ..guesses });
        }
    }

    /// Whose ports are guessed at.
    fn guessed(&self) -> [Option<End>; 2] {
        let bubbler = self.plan.bubbler;
        let both = guess_each_other(&self.issuer.profile, &self.acceptor.profile);
        [Some(bubbler), both.then_some(bubbler.other())]
    }
}
