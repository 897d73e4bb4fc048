//! I1: every order goes through its states to an end or `confirmed` and beyond, and no message is
//! lost or left over.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use shop::{
    id::OrderId,
    order::{Order, OrderEventType, Status},
};

use crate::{
    checks::check::Check,
    observation::{Observation, Rest, UnderWay},
    transport::{
        message::{Content, QueuedMessage},
        queues::GivenUp,
    },
    violation::{Rule, Violation},
};

/// The longest time from one try of a charge to the next while the provider is down.
const LONGEST_ASK: SignedDuration = SignedDuration::from_secs(15);

#[derive(Default)]
pub(crate) struct Orders {
    deadlines: BTreeMap<OrderId, Timestamp>,
    /// Orders with a message that came too late to move them on.
    came_too_late: BTreeSet<OrderId>,
    /// Orders that the API has called cancelled.
    cancelled: BTreeSet<OrderId>,
    /// Messages that no function can read and that have not expired, by queue and body.
    poison: Vec<(&'static str, String)>,
    /// Records that the relay cannot read.
    poison_records: BTreeSet<String>,
}

impl Check for Orders {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::OrderWritten { before, after, under_way, .. } => {
                self.written(before.as_deref(), after, under_way)?;
            }
            Observation::MessageDeleted { message, .. }
                if matches!(message.content, Content::Intent) => {}
            Observation::MessageDeleted { by, at, message } => {
                let Some(event) = message.event() else {
                    return violation(format!(
                        "an unreadable message was acknowledged: {}",
                        message.body
                    ));
                };
                let is_late = self.deadlines.get(&event.order).is_some_and(|deadline| {
                    match message.queue {
                        "StockQueue" => *deadline <= by.started,
                        // It is given up if the next try would come too late.
                        "ChargeQueue" => *deadline <= *at + LONGEST_ASK,
                        _ => false,
                    }
                });
                if is_late {
                    self.came_too_late.insert(event.order);
                }
            }
            Observation::GivenUp(GivenUp { message, receives, handed })
                if *handed < receives.div_ceil(2) =>
            {
                return violation(format!(
                    "{} gave up {}, which it received {receives} times and handed over {handed} \
                     times",
                    message.queue,
                    described(message)
                ));
            }
            Observation::MessageExpired(message) => match message.content {
                Content::Event(_) | Content::Intent => {
                    return violation(format!("{} lost {}", message.queue, described(message)));
                }
                Content::Poison => {
                    let expired = (message.queue, message.body.to_string());
                    if let Some(at) = self.poison.iter().position(|known| *known == expired) {
                        self.poison.swap_remove(at);
                    }
                }
            },
            Observation::ChangeExpired(order) => {
                return violation(format!("the stream lost a change of {order}"));
            }
            Observation::PoisonSent(message) => {
                self.poison.push((message.queue, message.body.to_string()));
            }
            Observation::PoisonWritten { record } => {
                self.poison_records.insert(record.clone());
            }
            Observation::CancellationAccepted(order) => {
                self.cancelled.insert(*order);
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self, rest: &Rest) -> Result<(), Violation> {
        self.check_messages(rest)?;
        for (id, order) in &rest.orders {
            let status = order.status;
            if !self.deadlines.contains_key(id) {
                return violation(format!("{id} is {status:?}, but it was never placed"));
            }
            if matches!(status, Status::Placed | Status::Reserved) {
                return violation(format!("{id} is {status:?}, and stuck"));
            }
            if self.cancelled.contains(id) && status != Status::Cancelled {
                return violation(format!(
                    "{id} is {status:?}, and the API answered that it is cancelled"
                ));
            }
        }
        Ok(())
    }
}

impl Orders {
    fn written(
        &mut self,
        before: Option<&Order>,
        after: &Order,
        under_way: &UnderWay,
    ) -> Result<(), Violation> {
        let id = after.order_id;
        if before.is_none() {
            self.deadlines.insert(id, after.deadline);
        }
        if let Some(fault) = deviation(before, after) {
            return violation(format!("{id} was written without a transition: {fault}"));
        }
        let event = after.history.last().map(|entry| entry.event);
        if event == Some(OrderEventType::Expired)
            && !can_confirm(under_way)
            && !self.came_too_late.contains(&id)
        {
            return violation(format!(
                "{id} expires, and nothing was under way that could have confirmed it"
            ));
        }
        Ok(())
    }

    fn check_messages(&self, rest: &Rest) -> Result<(), Violation> {
        if let Some(message) = rest.pending.first() {
            return violation(format!("{} still holds {}", message.queue, described(message)));
        }
        if !rest.stream_is_empty {
            return violation("the stream still holds records".into());
        }
        let mut dead = Vec::new();
        for message in &rest.dead_letters {
            match message.content {
                Content::Event(_) | Content::Intent => {
                    let what = described(message);
                    return violation(format!("{} never gets rid of {what}", message.queue));
                }
                Content::Poison => dead.push((message.queue, message.body.to_string())),
            }
        }
        let mut poison = self.poison.clone();
        dead.sort();
        poison.sort();
        if dead != poison {
            return violation(format!("the dead letters are {dead:?} instead of {poison:?}"));
        }
        // Sets, because a relay that dies after it has put a record aside puts it aside again.
        let (found, expected) = (&rest.unreadable_records, &self.poison_records);
        if found != expected {
            return violation(format!("the relay put aside {found:?} instead of {expected:?}"));
        }
        Ok(())
    }
}

fn violation(what: String) -> Result<(), Violation> {
    Err(Violation::new(Rule::I1, what))
}

fn described(message: &QueuedMessage) -> String {
    match &message.content {
        Content::Event(event) => format!("{} of {}", event.detail_type, event.order),
        Content::Intent | Content::Poison => message.body.to_string(),
    }
}

/// Whether any of it could still confirm the order.
fn can_confirm(under_way: &UnderWay) -> bool {
    let moves_on = |message: &QueuedMessage| {
        message.event().is_some_and(|event| {
            event.revision.is_none()
                || matches!(&*event.detail_type, "order.placed" | "order.reserved")
        })
    };
    // The deadline itself is a message about the placing of the order.
    under_way.in_stream
        || under_way.messages.iter().any(|it| it.queue != "DeadlineQueue" && moves_on(it))
}

/// How a write differs from a transition, if it does.
fn deviation(before: Option<&Order>, after: &Order) -> Option<String> {
    let Some(before) = before else {
        let placed =
            after.status == Status::Placed && after.revision == 1 && after.history.len() == 1;
        return (!placed).then(|| format!("it starts as {after:?}"));
    };
    let grown = after.history.len() == before.history.len() + 1
        && after.history.starts_with(&before.history);
    let entry = after.history.last().filter(|_| grown);
    let Some(entry) = entry else { return Some("its history has not grown by one".into()) };
    if (after.revision, entry.revision, entry.status)
        != (before.revision + 1, after.revision, after.status)
    {
        return Some(format!("revision {} follows {}", after.revision, before.revision));
    }
    let is_under_work = matches!(before.status, Status::Preparing | Status::Ready);
    if is_under_work && after.status == Status::Cancelled && after.cancellation_reason.is_none() {
        return Some(format!("its customer cancels it while it is {:?}", before.status));
    }
    if !may_follow(before.status, after.status) {
        return Some(format!("{:?} follows {:?}", after.status, before.status));
    }
    let needs_payment_method = matches!(after.status, Status::Placed | Status::Reserved);
    (after.payment_method.is_some() != needs_payment_method)
        .then(|| "its payment method is removed too early or too late".into())
}

/// `placed → reserved → confirmed → preparing → ready → collected`, and the early ends. A reserved
/// order may ask its customer to authenticate, the payment of an order that ended early may change,
/// and any order that is over may be erased.
const fn may_follow(before: Status, after: Status) -> bool {
    use Status::{
        Cancelled, Collected, Confirmed, Expired, Placed, Preparing, Ready, Rejected, Reserved,
    };
    matches!(
        (before, after),
        (Placed, Reserved | Rejected | Cancelled | Expired)
            | (Reserved, Reserved | Confirmed | Rejected | Cancelled | Expired)
            | (Confirmed, Confirmed | Preparing | Cancelled)
            | (Preparing, Preparing | Ready | Cancelled)
            | (Ready, Ready | Collected | Cancelled)
            | (Collected, Collected)
            | (Rejected, Rejected)
            | (Cancelled, Cancelled)
            | (Expired, Expired)
    )
}
