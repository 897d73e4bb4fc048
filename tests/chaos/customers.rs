//! What customers order, and how they retry.

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;
use futures::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use local::{
    sandbox::{Fault, FaultyAnswer, Route},
    shops::Shop,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::harness::{Answer, Customer, System, order, paid_with};

/// The card whose bank asks its customer to authenticate.
const AUTHENTICATED: &str = "pm_card_authenticationRequired";

/// The card whose customer disputes the payment at once.
const DISPUTED: &str = "pm_card_createDispute";

/// The pause before a customer retries.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest time after which a customer cancels.
const CANCELLATION_DELAY: Duration = Duration::from_secs(15);

/// An order to be placed, and how its customer goes about it.
pub(super) struct PlannedOrder<'a> {
    pub(super) customer: &'a Customer<'a>,
    key: String,
    order: Value,
    /// How many equal requests are sent at the same time.
    pub(super) copies: usize,
    /// Whether the key is used again with another body.
    reuses_key: bool,
    /// How long after its acceptance it is cancelled, if at all.
    cancelled_after: Option<Duration>,
    /// What its customer does if the bank asks them to authenticate.
    authentication: Authentication,
    /// The provider's fault that affects its payment.
    trouble: Trouble,
}

/// What a customer does on the page of their bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authentication {
    Completes,
    Fails,
    Leaves,
}

/// A provider's fault that affects one payment, in addition to those that affect all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// The payment is never confirmed.
    Hopeless,
    /// The route fails more often than one invocation tries.
    FailsRepeatedly(Route),
}

impl Trouble {
    fn random(random: &mut Rng) -> Self {
        match random.u8(..30) {
            0 => Self::Hopeless,
            1..=2 => Self::FailsRepeatedly(Route::Create),
            3..=4 => Self::FailsRepeatedly(Route::Confirm),
            5..=9 => Self::FailsRepeatedly(Route::Cancel),
            10..=14 => Self::FailsRepeatedly(Route::Refund),
            _ => Self::None,
        }
    }

    fn fault(self) -> Option<Fault> {
        let fails = |route, times| {
            Some(Fault {
                route: Some(route),
                times,
                answer: FaultyAnswer::Fail(503),
                ..Fault::default()
            })
        };
        match self {
            Self::None => None,
            Self::Hopeless => fails(Route::Confirm, None),
            Self::FailsRepeatedly(route) => fails(route, Some(4)),
        }
    }
}

impl<'a> PlannedOrder<'a> {
    pub(super) fn new(customers: &'a [Customer<'a>], shops: &[Shop], random: &mut Rng) -> Self {
        let shop = &shops[random.usize(..shops.len())];
        let lines: &[_] = match random.u8(..10) {
            0..5 => &[("croissant", random.u32(1..=6))],
            5..8 => &[("eclair", random.u32(1..=4))],
            _ => &[("croissant", random.u32(1..=6)), ("eclair", random.u32(1..=4))],
        };
        let card = match random.u8(..20) {
            0 => "pm_card_chargeDeclined",
            1 => "pm_card_chargeDeclinedInsufficientFunds",
            2 => AUTHENTICATED,
            3 => DISPUTED,
            _ => "pm_card_visa",
        };
        let mut order = paid_with(card, order(shop, lines));
        let days = SignedDuration::from_hours(24 * random.i64(0..3) + 1);
        order["pickup_at"] = json!(Timestamp::now() + days);
        Self {
            customer: &customers[random.usize(..customers.len())],
            key: Uuid::new_v4().to_string(),
            order,
            copies: if random.u8(..4) == 0 { random.usize(2..=4) } else { 1 },
            reuses_key: random.u8(..20) == 0,
            cancelled_after: (random.f64() < super::CANCELLED)
                .then(|| CANCELLATION_DELAY.mul_f64(random.f64())),
            authentication: match random.u8(..10) {
                0 => Authentication::Leaves,
                1..=2 => Authentication::Fails,
                _ => Authentication::Completes,
            },
            trouble: Trouble::random(random),
        }
    }

    /// The same order without a dispute: an earlier version may not read an order that has one.
    pub(super) fn undisputed(mut self) -> Self {
        if self.order["payment_method"] == DISPUTED {
            self.order["payment_method"] = json!("pm_card_visa");
        }
        self
    }

    pub(super) fn order_id(&self) -> String {
        self.customer.order_id(&self.key)
    }

    /// Whether the payment is never confirmed.
    pub(super) fn is_hopeless(&self) -> bool {
        self.trouble == Trouble::Hopeless
    }

    /// Whether the provider fails with the payment several times.
    pub(super) fn fails_repeatedly(&self) -> bool {
        matches!(self.trouble, Trouble::FailsRepeatedly(_))
    }

    /// Gives the provider the fault for this payment.
    pub(super) async fn set_fault(&self, system: &System) {
        if let Some(fault) = self.trouble.fault() {
            system.set_fault(&self.order_id(), fault).await;
        }
    }

    /// Places the order, counts it, and does what else is planned. Returns a description of a wrong
    /// answer.
    pub(super) async fn carry_out(
        &self,
        system: &System,
        placed: &watch::Sender<usize>,
    ) -> Option<String> {
        self.set_fault(system).await;
        let wrong_answer = self.place().await.err();
        placed.send_modify(|placed| *placed += 1);
        if wrong_answer.is_some() {
            return wrong_answer;
        }
        if self.reuses_key {
            let mut other = self.order.clone();
            other["note"] = json!("Something else.");
            let answer = retry(async || self.customer.post(&self.key, &other).await).await;
            if answer.status != 422 {
                return Some(format!(
                    "I4: the key of order {} with another body: {answer:?}",
                    self.order_id()
                ));
            }
        }
        join(self.change_mind(), self.authenticate()).await.0
    }

    /// Goes to the page of the bank once the order shows it.
    async fn authenticate(&self) {
        let outcome = match self.authentication {
            _ if self.order["payment_method"] != AUTHENTICATED => return,
            Authentication::Completes => "complete",
            Authentication::Fails => "fail",
            Authentication::Leaves => return,
        };
        loop {
            let answer = self.customer.get(&format!("/orders/{}", self.order_id())).await;
            if let Some(page) = answer.body["authentication_url"].as_str() {
                // The order may end at the same time.
                let form = reqwest::Client::new().post(page).form(&[("outcome", outcome)]);
                form.send().await.ok();
                return;
            }
            let status = &answer.body["status"];
            if answer.status == 200 && status != "placed" && status != "reserved" {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Cancels the order if that is planned. Returns a description of a wrong answer.
    async fn change_mind(&self) -> Option<String> {
        tokio::time::sleep(self.cancelled_after?).await;
        let answer = retry(async || self.customer.cancel(&self.order_id()).await).await;
        let valid = match answer.status {
            200 => answer.body["status"] == "cancelled",
            status => status == 409,
        };
        (!valid).then(|| format!("cancelling order {}: {answer:?}", self.order_id()))
    }

    /// Sends the order until it is accepted. Every accepted request must answer the same order.
    async fn place(&self) -> Result<(), String> {
        loop {
            let answers =
                join_all((0..self.copies).map(|_| self.customer.post(&self.key, &self.order)))
                    .await;
            if let Some(refused) =
                answers.iter().find(|answer| answer.status != 202 && !is_transient(answer))
            {
                return Err(format!("placing order {}: {refused:?}", self.order_id()));
            }
            let accepted = answers.iter().filter(|answer| answer.status == 202);
            let ids: BTreeSet<_> = accepted
                .map(|answer| answer.body["order_id"].as_str().unwrap_or_default())
                .collect();
            if ids.is_empty() {
                tokio::time::sleep(PAUSE).await;
            } else if ids == BTreeSet::from([&*self.order_id()]) {
                return Ok(());
            } else {
                return Err(format!("I4: one key gave the orders {ids:?}"));
            }
        }
    }
}

/// Whether to retry: the function has died, is throttled or cannot answer now.
fn is_transient(answer: &Answer) -> bool {
    answer.status == 429 || answer.status >= 500
}

async fn retry(ask: impl AsyncFn() -> Answer) -> Answer {
    loop {
        let answer = ask().await;
        if !is_transient(&answer) {
            return answer;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
