//! Which of its name's addresses the server is used at, and when that is given up for another.
//!
//! A name may have several addresses, in an order that changes from answer to answer. One that the name
//! still has is kept, therefore, unless it has been silent for long.

use core::net::Ipv4Addr;

use heapless::Vec;

/// As many addresses of a name as the stack hands on (its feature `dns-max-result-count-4`).
pub type Answers = Vec<Ipv4Addr, 4>;

/// After so many look-ups in a row without a registration another of the name's addresses may be
/// better than this one: five minutes.
const IN_VAIN: u8 = 5;

/// The address that was chosen.
#[derive(Debug)]
pub struct Server {
    /// Where it is.
    pub address: Ipv4Addr,
    in_vain: u8,
    is_elsewhere: bool,
}

impl Server {
    /// One of the answers, drawn, so that devices spread over them; `None` when there is none.
    pub fn choose(answers: &Answers, draw: u64) -> Option<Self> {
        let count = answers.len() as u64;
        let place = draw.checked_rem(count)? as usize;
        let address = *answers.get(place)?;
        Some(Self { address, in_vain: 0, is_elsewhere: false })
    }

    /// There is a registration: whatever the name says, the server is here.
    pub fn answers(&mut self) {
        (self.in_vain, self.is_elsewhere) = (0, false);
    }

    /// The name was looked up, because there is no registration.
    pub fn looked_up(&mut self, answers: &Answers) {
        self.in_vain = self.in_vain.saturating_add(1);
        let has_others = answers.iter().any(|it| *it != self.address);
        let has_this = answers.contains(&self.address);
        self.is_elsewhere = has_others && (!has_this || self.in_vain >= IN_VAIN);
    }

    /// Whether it had better be looked for at another address.
    pub fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }
}
