//! The alarms of a stack that ring.

use dashboard::{Dashboard, Depth, PAST, Ringing};
use jiff::Timestamp;
use stack::{Alarm, Deployment, Embedded, Selection};

use crate::{dead_letters::DeadLetterQueues, error::Error};

/// The alarms that ring: those of CloudWatch, and of an embedded stack, which CloudWatch does not
/// watch, those of the template that can be judged by its logs and queues.
pub(crate) async fn ringing(deployment: &Deployment, now: Timestamp) -> Result<Vec<Alarm>, Error> {
    let mut ringing = deployment.ringing_alarms().await?;
    if let Some(embedded) = &deployment.embedded {
        ringing.extend(judged(deployment, embedded, now).await?);
    }
    Ok(ringing)
}

/// What the template's alarms make of the logs of the last hours and of the queues as they are.
async fn judged(
    deployment: &Deployment,
    embedded: &Embedded,
    now: Timestamp,
) -> Result<Vec<Alarm>, Error> {
    let mut dashboard = Dashboard::new(&embedded.stack_name, now);
    let recent = Selection { since: Some(now - PAST), ..Selection::default() };
    for line in deployment.logs().only(recent).written().await? {
        dashboard.add(&line);
    }
    for (id, waiting) in DeadLetterQueues::of(deployment).await?.waiting() {
        dashboard.measure(id, Depth { waiting, ..Depth::default() });
    }
    dashboard.advance_to(now);
    let alarm = |it: Ringing<'_>| Alarm {
        logical_id: it.alarm.to_owned(),
        since: Some(it.since),
        reason: it.description.to_owned(),
    };
    Ok(dashboard.ringing().into_iter().map(alarm).collect())
}
