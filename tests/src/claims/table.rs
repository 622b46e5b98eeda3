//! The project's tables of claims and behaviours, and the printed table of results.

use core::fmt::Write as _;

use super::lists;
use super::punch::lists::forms;
use super::punch::run::Meeting;
use super::punch::scenario::Scene;
use super::run::Run;
use super::scenario::Behaviour;

const CLAIMS: &str = include_str!("../../claims.tsv");
const BEHAVIOURS: &str = include_str!("../../behaviours.tsv");

/// The document about requests.
pub const REQUEST: &str = "request";
/// The document about hole punching.
pub const PUNCH: &str = "punch";

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

/// How many elements a claim has and how many of them fail, over all its scenes, and the scenes.
struct Result {
    elements: usize,
    failed: usize,
    scenario: String,
}

fn request(claim: u16, behaviour: &str, run: impl Fn(Behaviour) -> &'static Run) -> Result {
    let mut all = Behaviour::ALL.into_iter();
    let known = all.find(|known| known.name() == behaviour).expect("a behaviour of the table");
    let (elements, failed) = (lists::elements(claim), lists::failures(claim, run(known)));
    let scenario = known.scenario().to_owned();
    Result { elements: elements.len(), failed: failed.len(), scenario }
}

fn punch(claim: u16, meeting: impl Fn(Scene) -> &'static Meeting) -> Result {
    let mut result = Result { elements: 0, failed: 0, scenario: String::new() };
    for form in forms(claim) {
        result.elements += form.items.len();
        result.failed += form.failures(meeting(form.scene)).len();
        let comma = if result.scenario.is_empty() { "" } else { "; " };
        result.scenario = format!("{}{comma}{}", result.scenario, form.scene.name());
    }
    result
}

/// Claim, scenario and result of every row, one line each; `run` gives a behaviour's run, `meeting` a
/// scene's.
#[must_use]
pub fn print(
    run: impl Fn(Behaviour) -> &'static Run,
    meeting: impl Fn(Scene) -> &'static Meeting,
) -> String {
    let mut text = String::new();
    let (mut held, mut tested) = (0, 0);
    let _ = writeln!(text, "document claim behaviour               elements  result  scenario");
    for Row { document, claim, behaviour } in claims() {
        let Result { elements, failed, scenario } = match document {
            REQUEST => request(claim, behaviour, &run),
            _ => punch(claim, &meeting),
        };
        tested += 1;
        held += usize::from(failed == 0);
        let result = if failed == 0 { "ok".to_owned() } else { format!("{failed} FAILED") };
        let _ = writeln!(
            text,
            "{document:<8} {claim:>5} {behaviour:<25} {elements:>6}  {result:<6}  {scenario}"
        );
    }
    let _ = writeln!(text, "{held} of {tested} claims hold");
    text
}
