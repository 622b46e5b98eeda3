//! What a coordinator shows of itself to tests.

use super::Coordinator;
use crate::inspect::{bits, time};

impl Coordinator {
    /// For [`Inspect`](crate::inspect::Inspect).
    pub(crate) fn inspect(&self, see: &mut dyn FnMut(u64)) {
        let [one, other] = self.due.map(|due| due.is_some());
        see(u64::from(self.round) << 8 | bits([self.aimed, self.graced, one, other]));
        see(time(self.next_try));
        see(time(self.straggler));
        for learned in &self.learned {
            let port = |port: Option<u16>| u64::from(port.unwrap_or(0));
            let known = bits([learned.announced, learned.claimed.is_some()]);
            let ports = port(learned.before) << 32 | port(learned.after) << 16;
            see(known << 48 | ports | u64::from(learned.local));
        }
    }
}
