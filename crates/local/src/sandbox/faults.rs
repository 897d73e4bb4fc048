//! Faults on request: the sandbox can be slow, fail, and lose its answers.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// A failure, the requests that it affects, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// The affected route; all routes if absent.
    pub route: Option<Route>,
    /// The `order_id` in the metadata of the affected intents; all intents if absent.
    pub order_id: Option<String>,
    /// The amount of the affected intents in minor units; all amounts if absent. It is known before
    /// the order is placed, other than the order's id.
    pub amount: Option<u64>,
    /// The number of affected requests; all until the fault is removed if absent.
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
    /// `GET` and `POST /v1/disputes/{id}`
    Dispute,
    /// `GET /v1/disputes`
    ListDisputes,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.route {
            Some(route) => write!(f, "{}", name(route))?,
            None => f.write_str("every request")?,
        }
        if let Some(order) = &self.order_id {
            write!(f, " of order {order}")?;
        }
        if let Some(amount) = self.amount {
            write!(f, " for {amount} minor units")?;
        }
        match self.answer {
            FaultyAnswer::Normal => {}
            FaultyAnswer::Fail(status) => write!(f, " fails with {status}")?,
            FaultyAnswer::FailAfterWork(status) => {
                write!(f, " is done, and answered with {status}")?;
            }
            FaultyAnswer::Lose => f.write_str(" is done, and its answer is lost")?,
        }
        if self.delay_ms > 0 {
            write!(f, ", {} ms late", self.delay_ms)?;
        }
        match self.times {
            Some(1) => f.write_str(", once more"),
            Some(times) => write!(f, ", {times} more times"),
            None => Ok(()),
        }
    }
}

fn name(route: Route) -> String {
    match serde_json::to_value(route) {
        Ok(serde_json::Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}

/// The id of a fault. Ids are given in order, and never again.
pub type FaultId = u32;

#[derive(Debug, Default)]
pub(super) struct Faults {
    faults: BTreeMap<FaultId, Fault>,
    last_id: FaultId,
}

impl Faults {
    pub(super) fn set(&mut self, fault: Fault) -> FaultId {
        self.last_id += 1;
        self.faults.insert(self.last_id, fault);
        self.last_id
    }

    /// All faults that are not used up.
    pub(super) fn list(&self) -> BTreeMap<FaultId, Fault> {
        let left = self.faults.iter().filter(|(_, fault)| fault.times != Some(0));
        left.map(|(id, fault)| (*id, fault.clone())).collect()
    }

    /// Removes a fault, and says whether there was one.
    pub(super) fn remove(&mut self, id: FaultId) -> bool {
        self.faults.remove(&id).is_some()
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Removes the faults of one order.
    pub(super) fn clear_for(&mut self, order_id: &str) {
        self.faults.retain(|_, fault| fault.order_id.as_deref() != Some(order_id));
    }

    /// The fault that affects a request about an intent with this order and amount: the first one
    /// that matches and is not used up.
    pub(super) fn take(
        &mut self,
        route: Route,
        order_id: Option<&str>,
        amount: Option<u64>,
    ) -> Fault {
        let matches = |fault: &&mut Fault| {
            fault.times != Some(0)
                && fault.route.is_none_or(|wanted| wanted == route)
                && (fault.order_id.is_none() || fault.order_id.as_deref() == order_id)
                && (fault.amount.is_none() || fault.amount == amount)
        };
        let Some(fault) = self.faults.values_mut().find(matches) else {
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
        let mut answer = || faults.take(Route::Create, None, None).answer;
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
        assert_eq!(faults.take(Route::Create, Some("o-1"), None), Fault::default());
        assert_eq!(faults.take(Route::Confirm, Some("o-2"), None), Fault::default());
        assert_eq!(faults.take(Route::Confirm, None, None), Fault::default());
        assert_eq!(faults.take(Route::Confirm, Some("o-1"), None).answer, FaultyAnswer::Fail(503));
    }

    #[test]
    fn a_fault_can_be_set_by_the_amount_before_its_order_exists() {
        let mut faults = Faults::default();
        faults.set(Fault { amount: Some(380), times: Some(1), ..failing(503) });
        let mut answer = |amount| faults.take(Route::Confirm, Some("o-1"), Some(amount)).answer;
        assert_eq!(answer(190), FaultyAnswer::Normal);
        assert_eq!(answer(380), FaultyAnswer::Fail(503));
        assert_eq!(answer(380), FaultyAnswer::Normal);
    }

    #[test]
    fn faults_are_listed_until_they_are_used_up_or_removed() {
        let mut faults = Faults::default();
        let [once, always] =
            [Some(1), None].map(|times| faults.set(Fault { times, ..failing(500) }));
        assert_eq!(faults.list().into_keys().collect::<Vec<_>>(), [once, always]);
        faults.take(Route::Create, None, None);
        assert_eq!(faults.list().into_keys().collect::<Vec<_>>(), [always]);
        assert!(faults.remove(always) && !faults.remove(always));
        assert!(faults.list().is_empty());
        assert!(faults.set(failing(500)) > always);
    }

    #[test]
    fn a_fault_is_described_in_words() {
        let fault = Fault {
            route: Some(Route::Confirm),
            amount: Some(380),
            times: Some(2),
            delay_ms: 500,
            ..failing(503)
        };
        assert_eq!(
            fault.to_string(),
            "confirm for 380 minor units fails with 503, 500 ms late, 2 more times"
        );
        let lost = Fault { answer: FaultyAnswer::Lose, ..Fault::default() };
        assert_eq!(lost.to_string(), "every request is done, and its answer is lost");
    }

    #[test]
    fn cleared_faults_affect_no_request() {
        let mut faults = Faults::default();
        faults.set(failing(500));
        faults.clear();
        assert_eq!(faults.take(Route::Create, None, None), Fault::default());
    }

    #[test]
    fn the_faults_of_one_order_can_be_cleared_separately() {
        let mut faults = Faults::default();
        for order in ["o-1", "o-2"] {
            faults.set(Fault { order_id: Some(order.into()), ..failing(500) });
        }
        faults.clear_for("o-1");
        assert_eq!(faults.take(Route::Create, Some("o-1"), None), Fault::default());
        assert_eq!(faults.take(Route::Create, Some("o-2"), None).answer, FaultyAnswer::Fail(500));
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
