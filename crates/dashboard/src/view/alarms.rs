//! The alarms at the end of each page.

use monitor::State;
use ratatui::{
    style::Stylize,
    text::{Line, Span},
};

use super::panel::{ALARM, Panel, minute};
use crate::alarms::Alarms;

/// The alarms that ring, with their sections of the runbook; then what changed, and what is not
/// known here.
pub(super) fn panel(alarms: &Alarms) -> Panel<'static> {
    let mut lines = Vec::new();
    for ringing in alarms.ringing() {
        lines.push(Line::from(vec![
            Span::styled(format!("ALARM {}", ringing.alarm), ALARM),
            format!("  since {}  {}", minute(ringing.since), ringing.section).into(),
        ]));
        lines.push(Line::from(format!("      {}", ringing.description)));
    }
    if lines.is_empty() {
        lines.push("no alarm rings".into());
    }
    let changes = alarms.changes.iter().map(|change| {
        let what = if change.to == State::Alarm { "rings" } else { "is over" };
        Line::from(format!("{}  {} {what}", minute(change.at), change.alarm))
    });
    lines.extend(changes);
    let (judged, unjudged) = (alarms.judged(), &alarms.unjudged);
    let all = judged + unjudged.len();
    lines.push(Line::from(format!("not judged here: {}", unjudged.join(", "))).dim());
    Panel::new(format!("Alarms: {judged} of {all}, which have figures here"), lines)
}
