//! The project's tables of claims and behaviours, and the printed table of results.

use core::fmt::Write as _;

use super::lists;
use super::run::Run;
use super::scenario::Behaviour;

const CLAIMS: &str = include_str!("../../claims.tsv");
const BEHAVIOURS: &str = include_str!("../../behaviours.tsv");

/// The document whose claims are tested here.
pub const REQUEST: &str = "request";

/// A row of the table of claims.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Which document.
    pub document: &'static str,
    /// Which claim of it.
    pub claim: u16,
    /// The name of its behaviour.
    pub behaviour: &'static str,
}

/// All claims of both documents.
///
/// # Panics
/// When the table is not as it should be.
#[must_use]
pub fn claims() -> Vec<Row> {
    fn row(line: &'static str) -> Row {
        let fields: Vec<&str> = line.split('\t').collect();
        let [document, claim, behaviour] = fields[..] else { panic!("three fields: {line}") };
        Row { document, claim: claim.parse().expect("a number"), behaviour }
    }
    CLAIMS.lines().skip(1).filter(|line| !line.is_empty()).map(row).collect()
}

/// The behaviours of a document, by their names.
#[must_use]
pub fn behaviours(document: &str) -> Vec<&'static str> {
    let fields = BEHAVIOURS.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    fields.filter(|row| row.first() == Some(&document)).map(|row| row[1]).collect()
}

/// Claim, scenario and result of every row, one line each; `run` gives a behaviour's run.
#[must_use]
pub fn print<'r>(run: impl Fn(Behaviour) -> &'r Run) -> String {
    let mut text = String::new();
    let (mut held, mut tested, mut absent) = (0, 0, 0);
    let _ = writeln!(text, "document claim behaviour               elements  result  scenario");
    for Row { document, claim, behaviour } in claims() {
        let found = Behaviour::ALL.into_iter().find(|known| known.name() == behaviour);
        let Some(known) = found.filter(|_| document == REQUEST) else {
            absent += 1;
            let mark = "not there yet";
            let _ = writeln!(text, "{document:<8} {claim:>5} {behaviour:<25}      -  {mark}");
            continue;
        };
        let elements = lists::elements(claim).len();
        let failed = lists::failures(claim, run(known)).len();
        tested += 1;
        held += usize::from(failed == 0);
        let result = if failed == 0 { "ok".to_owned() } else { format!("{failed} FAILED") };
        let scenario = known.scenario();
        let _ = writeln!(
            text,
            "{document:<8} {claim:>5} {behaviour:<25} {elements:>6}  {result:<6}  {scenario}"
        );
    }
    let _ = writeln!(text, "{held} of {tested} claims hold, {absent} claims are not there yet");
    text
}
