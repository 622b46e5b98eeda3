//! L-2: what becomes of requests when nothing is wrong any more.

use core::time::Duration;

use genkan_core::wire::message::Reason;
use genkan_core::{ConnectionId, IssuerEvent, Target};

use super::Broken;
use super::build::{PASSWORD, Swarm};
use super::checks::Verdict;
use super::edges;
use super::houses::Place;
use crate::fleet::FleetAcceptor;
use crate::net::HostId;

/// The longest time that an issuer is left without a word: 10 s, and the way.
const PATIENCE: Duration = Duration::from_secs(11);
/// How much is lost, each way, and how long somebody who asks again and again then takes.
const LOSS: f64 = 0.3;
const LOSSY_PATIENCE: Duration = Duration::from_secs(30);

/// A request to make.
struct Wish {
    phone: Place,
    lamp: Place,
    target: Target,
    /// The door opens to it.
    admitted: bool,
}

impl Swarm {
    /// What the issuers ask for: each an acceptor, with what opens its door.
    fn wishes(&mut self) -> Vec<Wish> {
        let phones = self.issuers.clone().into_iter().enumerate();
        let wish = |(number, phone): (usize, Place)| {
            let lamp = self.acceptors[number % self.acceptors.len()].clone();
            let mut target = self.target(lamp.host, 0);
            let checks = self.checks.borrow();
            let paired = checks.roster.member(phone.host).is_some_and(|member| member.paired);
            if !paired {
                target.early_key = None;
            }
            let door = checks.roster.door(lamp.host);
            let admitted = door.open || door.password || paired;
            drop(checks);
            Wish { phone, lamp, target, admitted }
        };
        phones.map(wish).collect()
    }

    /// Who has what opens the door is connected where it can be dialled.
    pub(super) fn good_requests(&mut self) -> Verdict {
        for Wish { phone, lamp, target, admitted } in self.wishes() {
            self.cool_down(lamp.host)?;
            let meet = self.meet(&phone, &lamp);
            let outcome = self.ask(phone.host, &target)?;
            let as_it_must = match outcome {
                Some(IssuerEvent::Connected { .. }) => admitted && meet != Some(false),
                Some(IssuerEvent::Refused { reason, .. }) => {
                    let told = if target.early_key.is_some() {
                        matches!(reason, Reason::Unreachable)
                    } else {
                        reason == Reason::Unspecified && !admitted
                    };
                    told && !(admitted && meet == Some(true))
                }
                Some(IssuerEvent::Failed { .. }) => admitted && meet != Some(true),
                _ => false,
            };
            if !as_it_must {
                return self.wrong(phone.host, lamp.host, outcome);
            }
        }
        Ok(())
    }

    /// Password tries that came to nothing make the next ones wait for up to a minute.
    fn cool_down(&mut self, lamp: HostId) -> Verdict {
        if self.fleet.world.machine::<FleetAcceptor>(lamp).failures() == 0 {
            return Ok(());
        }
        let end = self.fleet.world.now() + Duration::from_secs(61);
        self.run_until(end)
    }

    /// A wrong password and an unknown target are refused.
    pub(super) fn bad_requests(&mut self) -> Verdict {
        let Some(phone) = self.issuers.first().map(|place| place.host) else { return Ok(()) };
        let nobody = genkan_core::StaticKey::from_secret([0x55; 32]).id();
        let locked = self.acceptors.iter().map(|place| place.host).find(|&lamp| {
            let door = self.checks.borrow().roster.door(lamp);
            !door.open && !door.paired
        });
        let wrong = locked.map(|lamp| Target {
            password: Some(PASSWORD.map(|byte| !byte)),
            ..Target::new(self.fleet.id(lamp))
        });
        for target in [Some(Target::new(nobody)), wrong].into_iter().flatten() {
            let outcome = self.ask(phone, &target)?;
            let reason = Reason::Unspecified;
            if !matches!(outcome, Some(IssuerEvent::Refused { reason: told, .. }) if told == reason)
            {
                return self.wrong(phone, phone, outcome);
            }
        }
        Ok(())
    }

    /// The first issuer that can be connected asks over a line that loses 30 %: it is told something
    /// each time. How many are connected within 30 s is a matter of chance, and in the [`Report`].
    ///
    /// [`Report`]: super::Report
    pub(super) fn lossy_requests(&mut self) -> Verdict {
        let wishes = self.wishes();
        let can = |wish: &Wish| wish.admitted && self.meet(&wish.phone, &wish.lamp) == Some(true);
        let Some(wish) = wishes.into_iter().find(can).filter(|_| self.lossy) else {
            return Ok(());
        };
        self.cool_down(wish.lamp.host)?;
        let Wish { phone, lamp, mut target, .. } = wish;
        let line = edges::clean(&phone.line);
        self.fleet.world.set_line(phone.host, &line.clone().with_loss(LOSS));
        let end = self.fleet.world.now() + LOSSY_PATIENCE;
        let mut connected = false;
        while !connected && self.fleet.world.now() < end {
            match self.ask(phone.host, &target)? {
                Some(IssuerEvent::Connected { .. }) => connected = true,
                None => return self.wrong(phone.host, lamp.host, None),
                Some(_) => {
                    self.numbers += 1;
                    target.counter = self.numbers.into();
                }
            }
        }
        self.report.lossy[usize::from(connected)] += 1;
        self.fleet.world.set_line(phone.host, &line);
        Ok(())
    }

    fn ask(&mut self, phone: HostId, target: &Target) -> Result<Option<IssuerEvent>, Broken> {
        let Some(request) = self.request(phone, target) else {
            return Err(Broken::new("L-2", "a phone that has nothing open cannot ask"));
        };
        self.wait(PATIENCE, |swarm| swarm.outcome(phone, request).is_some())?;
        let outcome = self.outcome(phone, request);
        self.hang_up(phone);
        Ok(outcome)
    }

    fn outcome(&self, phone: HostId, request: ConnectionId) -> Option<IssuerEvent> {
        self.checks.borrow().sessions.outcome(phone, request)
    }

    fn wrong<T>(
        &self,
        phone: HostId,
        lamp: HostId,
        outcome: Option<IssuerEvent>,
    ) -> Result<T, Broken> {
        let (phone, lamp) = (self.fleet.world.name(phone), self.fleet.world.name(lamp));
        Err(Broken::new("L-2", format!("{phone} asked {lamp} and was told {outcome:?}")))
    }
}
