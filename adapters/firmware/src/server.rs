//! Which of its name's addresses the server is used at, and when that is given up for another.
//!
//! A name may have several addresses, in an order that changes from answer to answer. One that the name
//! still has is kept, therefore, unless it has been silent for long.

use core::net::IpAddr;

use heapless::Vec;

/// As many addresses of a name as the stack hands on (its feature `dns-max-result-count-4`).
pub type Answers = Vec<IpAddr, 4>;

/// After so many look-ups in a row without a registration another of the name's addresses may be
/// better than this one: two minutes after a start; one after a loss, because then the first is at once.
const IN_VAIN: u8 = 2;

/// The address that was chosen.
#[derive(Debug)]
pub struct Server {
    /// Where it is.
    pub address: IpAddr,
    /// Look-ups since it was chosen, or there was a registration.
    in_vain: u8,
    /// Chooses among several.
    draw: u64,
}

impl Server {
    /// One of the answers, drawn, so that devices spread over them; `None` when there is none.
    pub fn choose(answers: &Answers, draw: u64) -> Option<Self> {
        let count = answers.len() as u64;
        let place = draw.checked_rem(count)? as usize;
        let address = *answers.get(place)?;
        Some(Self { address, in_vain: 0, draw })
    }

    /// There is a registration: whatever the name says, the server is here.
    pub fn answers(&mut self) {
        self.in_vain = 0;
    }

    /// The name was looked up, because there is no registration. Whether the server had better be looked
    /// for at another address, which is [`Server::address`] then.
    pub fn looked_up(&mut self, answers: &Answers) -> bool {
        self.in_vain = self.in_vain.saturating_add(1);
        if answers.contains(&self.address) && self.in_vain < IN_VAIN {
            return false;
        }
        let others = answers.iter().filter(|it| **it != self.address).copied().collect();
        // Another draw each time, or two addresses of three would be tried by turns.
        let draw = self.draw.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let Some(other) = Self::choose(&others, draw >> 33) else { return false };
        *self = Self { draw, ..other };
        true
    }
}
