//! Faults to order: the sandbox can be slow, fail, and lose its answers.

use serde::{Deserialize, Serialize};

/// What is to go wrong, with which requests and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Only on this route; anywhere when absent.
    pub route: Option<Route>,
    /// Only for intents whose metadata has this `order_id`; for any when absent.
    pub order_id: Option<String>,
    /// For this many requests; until faults are cleared when absent.
    pub times: Option<u32>,
    /// Wait this long before the work, which is then done whether or not the client still listens.
    pub delay_ms: u64,
    /// How the request is answered.
    pub answer: FaultyAnswer,
}

/// How a request that a [`Fault`] hits is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultyAnswer {
    /// As always.
    #[default]
    Normal,
    /// With this status, the work not done.
    Fail(u16),
    /// With this status, although the work is done.
    FailAfterWork(u16),
    /// Not at all: the work is done and the connection closed.
    Lose,
}

/// What a request asks for.
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

    /// Ends the faults that were set for one order.
    pub(super) fn clear_for(&mut self, order_id: &str) {
        self.0.retain(|fault| fault.order_id.as_deref() != Some(order_id));
    }

    /// What is to go wrong with this request: the first fault set that fits and is not used up.
    pub(super) fn hit(&mut self, route: Route, order_id: Option<&str>) -> Fault {
        let fits = |fault: &&mut Fault| {
            fault.times != Some(0)
                && fault.route.is_none_or(|wanted| wanted == route)
                && (fault.order_id.is_none() || fault.order_id.as_deref() == order_id)
        };
        let Some(fault) = self.0.iter_mut().find(fits) else {
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
    fn a_counted_fault_is_used_up_and_the_next_one_takes_over() {
        let mut faults = Faults::default();
        faults.set(Fault { times: Some(1), ..failing(500) });
        faults.set(Fault { times: Some(1), ..failing(429) });
        let mut answer = || faults.hit(Route::Create, None).answer;
        assert_eq!(answer(), FaultyAnswer::Fail(500));
        assert_eq!(answer(), FaultyAnswer::Fail(429));
        assert_eq!(answer(), FaultyAnswer::Normal);
    }

    #[test]
    fn a_fault_hits_only_its_route_and_order() {
        let mut faults = Faults::default();
        faults.set(Fault {
            route: Some(Route::Confirm),
            order_id: Some("o-1".into()),
            ..failing(503)
        });
        assert_eq!(faults.hit(Route::Create, Some("o-1")), Fault::default());
        assert_eq!(faults.hit(Route::Confirm, Some("o-2")), Fault::default());
        assert_eq!(faults.hit(Route::Confirm, None), Fault::default());
        assert_eq!(faults.hit(Route::Confirm, Some("o-1")).answer, FaultyAnswer::Fail(503));
    }

    #[test]
    fn a_cleared_fault_is_gone() {
        let mut faults = Faults::default();
        faults.set(failing(500));
        faults.clear();
        assert_eq!(faults.hit(Route::Create, None), Fault::default());
    }

    #[test]
    fn the_faults_of_one_order_can_be_cleared_and_those_of_others_stay() {
        let mut faults = Faults::default();
        for order in ["o-1", "o-2"] {
            faults.set(Fault { order_id: Some(order.into()), ..failing(500) });
        }
        faults.clear_for("o-1");
        assert_eq!(faults.hit(Route::Create, Some("o-1")), Fault::default());
        assert_eq!(faults.hit(Route::Create, Some("o-2")).answer, FaultyAnswer::Fail(500));
    }

    #[test]
    fn a_fault_can_be_written_by_hand() {
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
