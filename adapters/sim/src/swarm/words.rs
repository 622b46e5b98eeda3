//! After the mending: every connection that still stands carries a word each way.

use core::time::Duration;

use super::Broken;
use super::build::Swarm;
use super::checks::{PAYLOAD, Verdict};
use crate::send::Sent;

/// How long a word may take on a line without loss.
const WORD: Duration = Duration::from_secs(10);

impl Swarm {
    /// L-2: nothing that is said now is lost, nor anything that was said before on a connection that
    /// has stood since.
    pub(super) fn words(&mut self) -> Verdict {
        let ends = self.checks.borrow_mut().sessions.lines.whole();
        if ends.is_empty() {
            return Ok(());
        }
        for (host, connection) in ends {
            self.numbers += 1;
            let mut bytes = PAYLOAD.to_vec();
            bytes.extend(self.numbers.to_be_bytes());
            bytes.extend([1; 4]);
            self.checks.borrow_mut().sessions.lines.says(self.numbers, host, connection);
            let sent = self.fleet.say(host, connection, &bytes);
            if sent != Ok(Sent::Away) {
                let name = self.fleet.world.name(host);
                let what = format!("{name} cannot speak over {connection:?}: {sent:?}");
                return Err(Broken::new("L-2", what));
            }
        }
        let end = self.fleet.world.now() + WORD;
        self.run_until(end)?;
        let Some((host, number)) = self.checks.borrow().sessions.lines.coming() else {
            return Ok(());
        };
        let name = self.fleet.world.name(host);
        Err(Broken::new("L-2", format!("payload {number} has not arrived at {name} in {WORD:?}")))
    }
}
