//! What customers want, and how they insist on it.

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use local::{
    sandbox::{Fault, FaultyAnswer, Route},
    shops::Shop,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::harness::{Answer, Customer, System, order, paid_with};

/// How long a customer waits before asking again.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest time after which somebody changes their mind.
const SECOND_THOUGHTS: Duration = Duration::from_secs(15);

/// An order that somebody wants, and how they go about it.
pub(super) struct Wish<'a> {
    pub(super) customer: &'a Customer<'a>,
    key: String,
    order: Value,
    /// How often it is sent at the same time.
    pub(super) copies: usize,
    /// Whether the key is tried for something else as well.
    reuses_key: bool,
    /// When it is called off, if it is.
    cancelled_after: Option<Duration>,
    /// What the provider does wrong with its payment.
    trouble: Trouble,
}

/// What the provider does wrong with one payment, beside what it does wrong with all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// It never confirms it.
    Hopeless,
    /// On this route it fails more often than one invocation tries.
    Stumbles(Route),
}

impl Trouble {
    fn random(random: &mut Rng) -> Self {
        match random.u8(..30) {
            0 => Self::Hopeless,
            1..=2 => Self::Stumbles(Route::Create),
            3..=4 => Self::Stumbles(Route::Confirm),
            5..=9 => Self::Stumbles(Route::Cancel),
            10..=14 => Self::Stumbles(Route::Refund),
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
            Self::Stumbles(route) => fails(route, Some(4)),
        }
    }
}

impl<'a> Wish<'a> {
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
            2 => "pm_card_authenticationRequired",
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
                .then(|| SECOND_THOUGHTS.mul_f64(random.f64())),
            trouble: Trouble::random(random),
        }
    }

    pub(super) fn order_id(&self) -> String {
        self.customer.order_id(&self.key)
    }

    /// Whether the payment is never confirmed.
    pub(super) fn is_hopeless(&self) -> bool {
        self.trouble == Trouble::Hopeless
    }

    /// Whether the provider fails with the payment for a while.
    pub(super) fn stumbles(&self) -> bool {
        matches!(self.trouble, Trouble::Stumbles(_))
    }

    /// Makes the provider do with the payment what it shall do wrong.
    pub(super) async fn has_trouble(&self, system: &System) {
        if let Some(fault) = self.trouble.fault() {
            system.fail(&self.order_id(), fault).await;
        }
    }

    /// Places the order, counts it, and does with it what else is wanted. Returns an answer that
    /// should not have come.
    pub(super) async fn comes_true(
        &self,
        system: &System,
        placed: &watch::Sender<usize>,
    ) -> Option<String> {
        self.has_trouble(system).await;
        let complaint = self.is_placed().await.err();
        placed.send_modify(|placed| *placed += 1);
        if complaint.is_some() {
            return complaint;
        }
        if self.reuses_key {
            let mut other = self.order.clone();
            other["note"] = json!("Something else.");
            let answer = insist(async || self.customer.post(&self.key, &other).await).await;
            if answer.status != 422 {
                return Some(format!(
                    "I4: the key of order {} with another body: {answer:?}",
                    self.order_id()
                ));
            }
        }
        let second_thoughts = self.cancelled_after?;
        tokio::time::sleep(second_thoughts).await;
        let answer = insist(async || self.customer.cancel(&self.order_id()).await).await;
        let sensible = match answer.status {
            200 => answer.body["status"] == "cancelled",
            status => status == 409,
        };
        (!sensible).then(|| format!("cancelling order {}: {answer:?}", self.order_id()))
    }

    /// Every accepted request must show the same order.
    async fn is_placed(&self) -> Result<(), String> {
        loop {
            let answers =
                join_all((0..self.copies).map(|_| self.customer.post(&self.key, &self.order)))
                    .await;
            if let Some(refused) =
                answers.iter().find(|answer| answer.status != 202 && !may_come_right(answer))
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

/// Whether to ask again: the function has died, is overrun or cannot answer now.
fn may_come_right(answer: &Answer) -> bool {
    answer.status == 429 || answer.status >= 500
}

async fn insist(ask: impl AsyncFn() -> Answer) -> Answer {
    loop {
        let answer = ask().await;
        if !may_come_right(&answer) {
            return answer;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
