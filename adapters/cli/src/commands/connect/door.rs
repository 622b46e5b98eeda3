//! One connection to the appliance, made again whenever it ends.

use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use genkan_core::wire::message::Reason;
use genkan_core::{EquipmentId, FailCause, Target};
use genkan_std::{IssuerNode, ReachError, Session, Stream};

use crate::exit::Failure;
use crate::node;
use crate::stop::Stop;

/// The first wait between attempts, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Gives streams to the appliance's service. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Door {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    was_open: bool,
    failure: Option<Failure>,
}

impl Door {
    /// Begins to connect, and to keep the connection, on a thread of its own, until `stop`.
    /// When the first attempt fails, that is a failure unless `patient`.
    pub(super) fn open(
        node: Arc<IssuerNode>,
        target: Target,
        patient: bool,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let door = Self { shared: Arc::default() };
        let (keeper, stop) = (door.clone(), stop.clone());
        thread::Builder::new()
            .name("door".into())
            .spawn(move || {
                keeper.keep(&node, &target, patient);
                stop.set();
            })
            .map_err(|error| Failure::other(format!("cannot start a thread: {error}")))?;
        Ok(door)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.shared.1.notify_all();
    }

    /// Why the first attempt failed, if it did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    /// Whether there was a connection at some time.
    pub(super) fn was_open(&self) -> bool {
        self.lock().was_open
    }

    fn keep(&self, node: &IssuerNode, target: &Target, patient: bool) {
        let mut wait = FIRST_WAIT;
        loop {
            match node.connect(target) {
                Ok(session) => {
                    wait = FIRST_WAIT;
                    let opened = session.clone();
                    self.change(|state| {
                        state.session = Some(opened);
                        state.was_open = true;
                    });
                    let cause = session.wait_closed(None);
                    tracing::info!("the connection ended: {cause:?}");
                    self.change(|state| state.session = None);
                }
                Err(ReachError::Stopped(_)) => return,
                Err(error) if !patient && !self.was_open() => {
                    self.change(|state| state.failure = Some(failure(error, target, node.id())));
                    return;
                }
                Err(error) => {
                    tracing::warn!("{error}; trying again in {} ms", wait.as_millis());
                    thread::sleep(wait);
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
            if !node.is_running() {
                return;
            }
        }
    }

    /// A stream to the service. While there is no connection, waits for one for up to `patience`.
    pub(super) fn stream(&self, patience: Duration) -> Result<Stream, Failure> {
        let session = self.session(patience)?;
        session.open(node::SERVICE).map_err(|error| {
            Failure::unreachable(format!("the appliance gives no stream: {error}"))
        })
    }

    fn session(&self, patience: Duration) -> Result<Session, Failure> {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if let Some(session) = &state.session
                && session.closed().is_none()
            {
                return Ok(session.clone());
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::unreachable("there is no connection to the appliance"));
            }
            let waited = self.shared.1.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn failure(error: ReachError, target: &Target, own: EquipmentId) -> Failure {
    match error {
        ReachError::Failed(FailCause::BadCertificate) => node::wrong_certificate(),
        ReachError::File(error) => error.into(),
        ReachError::Request(error) => Failure::other(error.to_string()),
        // A stranger is not told why; what may help depends on what was tried.
        ReachError::Refused(_) if target.password.is_none() => {
            Failure::unreachable(error.to_string())
                .hint("a password: --ask-password, --password-file FILE or GENKAN_PASSWORD")
        }
        ReachError::Refused(Reason::Unspecified | Reason::WrongPassword) => Failure::unreachable(
            "refused: either the password is wrong, or too many requests came just now",
        )
        .hint(format!(
            "the same in some seconds; for frequent use, start the appliance with --allow {own}"
        )),
        other => Failure::unreachable(other.to_string()),
    }
}
