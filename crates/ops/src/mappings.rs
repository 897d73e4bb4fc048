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

/// All queues of a stack from which nothing is taken, and the stream if it is one.
pub(crate) async fn standing(deployment: &Deployment) -> Result<Vec<Standing>, Error> {
    let client = Lambda::new(&deployment.config);
    let endpoint = deployment.embedded.as_ref().map(|embedded| &*embedded.endpoint);
    let mappings = deployment.resources("AWS::Lambda::EventSourceMapping");
    let asked = mappings.map(async |(logical_id, uuid)| {
        let state = state(&client, uuid).await?;
        Ok::<_, Error>(Standing::of(logical_id, uuid, state.as_deref(), endpoint))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
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
    fn of(
        logical_id: &str,
        uuid: &str,
        state: Option<&str>,
        endpoint: Option<&str>,
    ) -> Option<Self> {
        if state.is_some_and(|state| TAKING.contains(&state)) {
            return None;
        }
        let queue =
            logical_id.strip_suffix(SUFFIX).map_or_else(|| RELAY.to_owned(), str::to_lowercase);
        let source = if queue == RELAY {
            "changes from the stream of orders".to_owned()
        } else {
            format!("messages from the queue `{queue}`")
        };
        let (state, remedy) = match state {
            Some(state) => {
                let endpoint = endpoint.map(|url| format!(" --endpoint-url {url}"));
                let endpoint = endpoint.unwrap_or_default();
                let enable = format!(
                    "`aws lambda update-event-source-mapping --uuid {uuid} --enabled{endpoint}`"
                );
                (state.to_lowercase(), format!("enable the mapping: {enable}"))
            }
            None => ("deleted".to_owned(), "deploy the template again".to_owned()),
        };
        let what = format!("nobody takes {source}: the mapping {logical_id} is {state}");
        Some(Self { queue, what, remedy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_stands_if_its_mapping_is_disabled_or_deleted() {
        let standing = |state| Standing::of("ChargeMapping", "u-1", state, None);
        for taking in ["Enabled", "Enabling", "Updating"] {
            assert_eq!(standing(Some(taking)), None);
        }
        let disabled = standing(Some("Disabled")).unwrap();
        assert_eq!(disabled.queue, "charge");
        assert_eq!(
            disabled.what,
            "nobody takes messages from the queue `charge`: the mapping ChargeMapping is disabled"
        );
        assert_eq!(
            disabled.remedy,
            "enable the mapping: `aws lambda update-event-source-mapping --uuid u-1 --enabled`"
        );
        let deleted = standing(None).unwrap();
        assert!(deleted.what.ends_with("is deleted") && deleted.remedy.contains("deploy"));
    }

    #[test]
    fn the_stream_stands_by_the_name_of_the_relay_and_a_local_stack_by_its_endpoint() {
        let url = "http://127.0.0.1:4566";
        let stream = Standing::of("OrderStream", "u-2", Some("Disabled"), Some(url)).unwrap();
        assert_eq!(stream.queue, RELAY);
        assert!(stream.what.contains("changes from the stream of orders"), "{stream:?}");
        assert!(stream.remedy.ends_with(&format!("--enabled --endpoint-url {url}`")), "{stream:?}");
    }
}
