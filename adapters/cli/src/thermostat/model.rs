//! What a thermostat knows: the target, and a room that slowly follows it.

use core::time::Duration;

use serde_json::{Value, json};

/// Lowest target in °C.
pub(crate) const MIN: f64 = 5.0;
/// Highest target in °C.
pub(crate) const MAX: f64 = 30.0;
/// After this long, the room has come about two thirds of the way to its target.
const INERTIA: Duration = Duration::from_secs(60);
/// How far below the target the room may fall before the heating starts, in °C.
const HYSTERESIS: f64 = 0.1;

/// A target that is not accepted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum BadTarget {
    /// The body is not `{"target": number}`.
    NotATarget,
    /// Outside of [`MIN`] to [`MAX`].
    OutOfRange(f64),
}

/// The thermostat. Its times are durations since it was switched on.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    target: f64,
    /// The room's temperature when the target was last set, and when that was.
    room: f64,
    since: Duration,
}

impl Model {
    pub(crate) const fn new() -> Self {
        Self { target: 20.0, room: 19.2, since: Duration::ZERO }
    }

    /// The room approaches the target exponentially.
    fn room(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.since).as_secs_f64() / INERTIA.as_secs_f64();
        self.target + (self.room - self.target) * (-passed).exp()
    }

    /// The state as the page reads it.
    pub(crate) fn state(&self, now: Duration) -> Value {
        let room = self.room(now);
        json!({
            "room": tenths(room),
            "target": self.target,
            "heating": room < self.target - HYSTERESIS,
            "min": MIN,
            "max": MAX,
        })
    }

    /// Takes the target from a request's body; it is rounded to tenths.
    pub(crate) fn set(&mut self, now: Duration, body: &[u8]) -> Result<(), BadTarget> {
        let body: Value = serde_json::from_slice(body).map_err(|_| BadTarget::NotATarget)?;
        let target = match body.as_object() {
            Some(fields) if fields.len() == 1 => fields.get("target").and_then(Value::as_f64),
            _ => None,
        };
        let target = tenths(target.ok_or(BadTarget::NotATarget)?);
        if !(MIN..=MAX).contains(&target) {
            return Err(BadTarget::OutOfRange(target));
        }
        self.room = self.room(now);
        self.since = now;
        self.target = target;
        Ok(())
    }
}

fn tenths(celsius: f64) -> f64 {
    (celsius * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    #[test]
    fn the_room_follows_the_target_and_the_heating_stops_when_it_is_warm() {
        let mut model = Model::new();
        model.set(START, br#"{"target":22.5}"#).unwrap();
        assert_eq!(model.state(START)["room"], 19.2);
        assert_eq!(model.state(START)["heating"], true);
        let warmer = model.room(Duration::from_secs(60));
        assert!(warmer > 21.0 && warmer < 22.0, "{warmer}");
        let later = Duration::from_secs(3_600);
        assert_eq!(model.state(later)["room"], 22.5);
        assert_eq!(model.state(later)["heating"], false);
        model.set(later, br#"{"target":5}"#).unwrap();
        assert_eq!(model.state(later)["room"], 22.5, "a new target does not move the room at once");
        assert_eq!(model.state(later)["heating"], false);
    }

    #[test]
    fn only_a_target_within_the_range_is_taken() {
        let mut model = Model::new();
        for good in ["5", "30", "30.04", "21.55", "4.96"] {
            assert_eq!(model.set(START, format!("{{\"target\":{good}}}").as_bytes()), Ok(()));
        }
        for far in ["4.9", "30.1", "-21", "1e308"] {
            let result = model.set(START, format!("{{\"target\":{far}}}").as_bytes());
            assert!(matches!(result, Err(BadTarget::OutOfRange(_))), "{far}: {result:?}");
        }
        for bad in [
            "",
            "{}",
            "21",
            "[21]",
            "null",
            r#"{"target":"21"}"#,
            r#"{"target":null}"#,
            r#"{"target":1e999}"#,
            r#"{"target":NaN}"#,
            r#"{"target":21,"more":1}"#,
            "\u{0}",
        ] {
            assert_eq!(model.set(START, bad.as_bytes()), Err(BadTarget::NotATarget), "{bad}");
        }
        assert_eq!(model.state(START)["target"], 5.0, "4.96 was rounded and was the last good one");
    }
}
