//! What the server has learned of one end's ports in one try.

use core::time::Duration;

use super::burst::Moment;
use crate::nat::{Count, Differential, Forecast, PortRange};

/// What was learned of one end in this try.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learned {
    /// The port that the announced or last fresh socket is bound to.
    pub(super) local: u16,
    pub(super) announced: bool,
    pub(super) before: Option<u16>,
    pub(super) after: Option<u16>,
    /// From the burst's leaving the server until its first detection packet came.
    pub(super) trip: Option<Duration>,
    /// A range that the end has computed itself.
    pub(super) claimed: Option<PortRange>,
}

impl Learned {
    pub(super) const fn has(&self, moment: Moment) -> bool {
        match moment {
            Moment::Announce => self.announced,
            Moment::Before => self.before.is_some(),
            Moment::After => self.after.is_some(),
        }
    }

    /// Where the bubble between the two detection packets is. With one of the two it is the
    /// counter's next port, or the one before; `late`: the other will not come.
    pub(super) fn bracketed(
        &self,
        differential: Option<Differential>,
        late: bool,
    ) -> Option<Forecast> {
        let foreign = Count::Poisson { mean: 128 };
        let alone = differential.unwrap_or(Differential::ONE);
        match (self.before, self.after) {
            (Some(before), Some(after)) => {
                let observed = PortRange::detect(before, after, differential, 1);
                let range = self.claimed.map_or(observed, |range| range.clamp(observed, 0));
                Some(range.forecast())
            }
            (Some(last), None) if late => {
                Some(Forecast::Counter { last, differential: alone, nth: 1, foreign })
            }
            (None, Some(last)) if late => {
                let differential = alone.reversed();
                Some(Forecast::Counter { last, differential, nth: 1, foreign })
            }
            _ => None,
        }
    }
}
