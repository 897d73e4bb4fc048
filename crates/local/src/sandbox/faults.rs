//! Faults on request: the sandbox can be slow, fail, and lose its answers.

use serde::{Deserialize, Serialize};

/// A failure, the requests that it affects, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// The affected route; all routes if absent.
    pub route: Option<Route>,
    /// The `order_id` in the metadata of the affected intents; all intents if absent.
    pub order_id: Option<String>,
    /// The number of affected requests; all until the fault is cleared if absent.
    pub times: Option<u32>,
    /// The delay before the work, which is done even if the client has hung up meanwhile.
    pub delay_ms: u64,
    /// The answer to the request.
    pub answer: FaultyAnswer,
}

/// The answer to a request that a [`Fault`] affects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultyAnswer {
    /// The usual answer.
    #[default]
    Normal,
    /// This status, and the work is not done.
    Fail(u16),
    /// This status, although the work is done.
    FailAfterWork(u16),
    /// None: the work is done and the connection is closed.
    Lose,
}

/// A route of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// `POST /v1/payment_intents`
    Create,
    /// `GET /v1/payment_intents/{id}`
    Retrieve,
    /// `POST /v1/payment_intents/{id}/confirm`
    Confirm,
    /// `POST /v1/payment_intents/{id}/cancel`
    Cancel,
    /// `GET /v1/payment_intents`
    List,
    /// `POST /v1/refunds`
    Refund,
    /// `GET /v1/refunds`
    ListRefunds,
}

#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn set(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Removes the faults of one order.
    pub(super) fn clear_for(&mut self, order_id: &str) {
        self.0.retain(|fault| fault.order_id.as_deref() != Some(order_id));
    }

    /// The fault that affects a request: the first one that matches and is not used up.
    pub(super) fn take(&mut self, route: Route, order_id: Option<&str>) -> Fault {
        let matches = |fault: &&mut Fault| {
            fault.times != Some(0)
                && fault.route.is_none_or(|wanted| wanted == route)
                && (fault.order_id.is_none() || fault.order_id.as_deref() == order_id)
        };
        let Some(fault) = self.0.iter_mut().find(matches) else {
            return Fault::default();
        };
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        fault.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(status: u16) -> Fault {
        Fault { answer: FaultyAnswer::Fail(status), ..Fault::default() }
    }

    #[test]
    fn the_next_fault_applies_once_a_counted_one_is_used_up() {
        let mut faults = Faults::default();
        faults.set(Fault { times: Some(1), ..failing(500) });
        faults.set(Fault { times: Some(1), ..failing(429) });
        let mut answer = || faults.take(Route::Create, None).answer;
        assert_eq!(answer(), FaultyAnswer::Fail(500));
        assert_eq!(answer(), FaultyAnswer::Fail(429));
        assert_eq!(answer(), FaultyAnswer::Normal);
    }

    #[test]
    fn a_fault_affects_only_its_route_and_order() {
        let mut faults = Faults::default();
        faults.set(Fault {
            route: Some(Route::Confirm),
            order_id: Some("o-1".into()),
            ..failing(503)
        });
        assert_eq!(faults.take(Route::Create, Some("o-1")), Fault::default());
        assert_eq!(faults.take(Route::Confirm, Some("o-2")), Fault::default());
        assert_eq!(faults.take(Route::Confirm, None), Fault::default());
        assert_eq!(faults.take(Route::Confirm, Some("o-1")).answer, FaultyAnswer::Fail(503));
    }

    #[test]
    fn cleared_faults_affect_no_request() {
        let mut faults = Faults::default();
        faults.set(failing(500));
        faults.clear();
        assert_eq!(faults.take(Route::Create, None), Fault::default());
    }

    #[test]
    fn the_faults_of_one_order_can_be_cleared_separately() {
        let mut faults = Faults::default();
        for order in ["o-1", "o-2"] {
            faults.set(Fault { order_id: Some(order.into()), ..failing(500) });
        }
        faults.clear_for("o-1");
        assert_eq!(faults.take(Route::Create, Some("o-1")), Fault::default());
        assert_eq!(faults.take(Route::Create, Some("o-2")).answer, FaultyAnswer::Fail(500));
    }

    #[test]
    fn a_fault_can_be_written_as_json_by_hand() {
        let fault: Fault =
            serde_json::from_str(r#"{"route": "confirm", "times": 2, "answer": {"fail": 503}}"#)
                .unwrap();
        assert_eq!(fault, Fault { route: Some(Route::Confirm), times: Some(2), ..failing(503) });
        let fault: Fault =
            serde_json::from_str(r#"{"order_id": "o-1", "answer": "lose"}"#).unwrap();
        assert_eq!(
            fault,
            Fault { order_id: Some("o-1".into()), answer: FaultyAnswer::Lose, ..Fault::default() }
        );
        assert!(serde_json::from_str::<Fault>(r#"{"rout": "confirm"}"#).is_err());
    }
}
