//! The mappings through which Lambda takes messages from queues, and changes from the stream.

use aws_sdk_lambda::{
    Client as Lambda, operation::get_event_source_mapping::GetEventSourceMappingError,
};
use futures::future::try_join_all;
use stack::{Deployment, error::aws};

use crate::error::Error;

/// The name of order-relay's mapping in this tool, and of its dead-letter queue.
pub(crate) const RELAY: &str = "relay";

/// The end of the logical id of a queue's mapping. What precedes it is the queue's name here.
const SUFFIX: &str = "Mapping";

/// The states in which Lambda takes messages, or will without anybody's help.
const TAKING: [&str; 4] = ["Creating", "Enabling", "Enabled", "Updating"];

/// A queue, or the stream of orders, from which nothing is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The name of the queue, such as `charge`, or [`RELAY`].
    pub(crate) queue: String,
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

/// What became of a mapping that was to be enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Enabling {
    /// Lambda takes messages again, in a moment.
    Begun { mapping: String },
    /// It did before.
    Unneeded { mapping: String },
}

/// All queues of a stack from which nothing is taken, and the stream if it is one.
pub(crate) async fn standing(deployment: &Deployment) -> Result<Vec<Standing>, Error> {
    let client = Lambda::new(&deployment.config);
    let asked = mappings(deployment).map(async |(logical_id, uuid)| {
        let state = state(&client, uuid).await?;
        Ok::<_, Error>(Standing::of(logical_id, state.as_deref()))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

/// Lets Lambda take messages from a queue again, or changes from the stream.
pub(crate) async fn enable(deployment: &Deployment, queue: &str) -> Result<Enabling, Error> {
    let client = Lambda::new(&deployment.config);
    let known = || mappings(deployment).map(|(logical_id, _)| queue_of(logical_id));
    let named = mappings(deployment).find(|(logical_id, _)| queue_of(logical_id) == queue);
    let (mapping, uuid) = named.ok_or_else(|| Error::NoMapping {
        queue: queue.to_owned(),
        known: known().collect::<Vec<_>>().join(", "),
    })?;
    let state = state(&client, uuid).await?;
    let mapping = mapping.to_owned();
    let state = state.ok_or_else(|| Error::MappingDeleted(mapping.clone()))?;
    if TAKING.contains(&&*state) {
        return Ok(Enabling::Unneeded { mapping });
    }
    let update = client.update_event_source_mapping().uuid(uuid).enabled(true);
    update.send().await.map_err(aws("lambda:UpdateEventSourceMapping"))?;
    Ok(Enabling::Begun { mapping })
}

/// The logical ids of all mappings, each with its UUID.
fn mappings(deployment: &Deployment) -> impl Iterator<Item = (&str, &str)> {
    deployment.resources("AWS::Lambda::EventSourceMapping")
}

/// The name of the queue that a mapping takes from, or [`RELAY`].
fn queue_of(logical_id: &str) -> String {
    logical_id.strip_suffix(SUFFIX).map_or_else(|| RELAY.to_owned(), str::to_lowercase)
}

/// The state of a mapping, unless somebody has deleted it.
async fn state(client: &Lambda, uuid: &str) -> Result<Option<String>, Error> {
    match client.get_event_source_mapping().uuid(uuid).send().await {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(GetEventSourceMappingError::is_resource_not_found_exception) =>
        {
            Ok(None)
        }
        found => Ok(found.map_err(aws("lambda:GetEventSourceMapping"))?.state),
    }
}

impl Standing {
    fn of(logical_id: &str, state: Option<&str>) -> Option<Self> {
        if state.is_some_and(|state| TAKING.contains(&state)) {
            return None;
        }
        let queue = queue_of(logical_id);
        let source = if queue == RELAY {
            "changes from the stream of orders".to_owned()
        } else {
            format!("messages from the queue `{queue}`")
        };
        let (state, remedy) = match state {
            Some(state) => {
                (state.to_lowercase(), format!("run `cargo ops mapping enable {queue}`"))
            }
            None => ("deleted".to_owned(), "deploy the template again".to_owned()),
        };
        let what = format!("nobody takes {source}: the mapping {logical_id} is {state}");
        Some(Self { queue, what, remedy })
    }

    /// A warning to somebody who sends messages that nobody would take.
    pub(crate) fn warning(&self) -> String {
        format!("warning: {}; {}", self.what, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_stands_if_its_mapping_is_disabled_or_deleted() {
        let standing = |state| Standing::of("ChargeMapping", state);
        for taking in ["Enabled", "Enabling", "Updating"] {
            assert_eq!(standing(Some(taking)), None);
        }
        let disabled = standing(Some("Disabled")).unwrap();
        assert_eq!(disabled.queue, "charge");
        assert_eq!(
            disabled.what,
            "nobody takes messages from the queue `charge`: the mapping ChargeMapping is disabled"
        );
        assert_eq!(disabled.remedy, "run `cargo ops mapping enable charge`");
        let deleted = standing(None).unwrap();
        assert!(deleted.what.ends_with("is deleted") && deleted.remedy.contains("deploy"));
    }

    #[test]
    fn the_stream_stands_by_the_name_of_the_relay() {
        let stream = Standing::of("OrderStream", Some("Disabled")).unwrap();
        assert_eq!(stream.queue, RELAY);
        assert!(stream.what.contains("changes from the stream of orders"), "{stream:?}");
        assert_eq!(stream.remedy, "run `cargo ops mapping enable relay`");
    }
}
