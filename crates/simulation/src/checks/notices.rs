//! I5: a customer is notified of each state that concerns them, in order, once, and as long as it
//! helps; a repeated mail needs a mishap as its reason.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use notifications::{
    handler::Address,
    notice::{Notice, Templates},
};
use shop::{
    event::OrderEvent,
    id::{CustomerId, OrderId},
    order::{Order, OrderEventType, PaymentStatus, Rejection, Status},
};

use crate::{
    checks::check::Check,
    engine::tasks::{TaskId, Worker},
    observation::{Observation, Rest},
    transport::message::EventTag,
    violation::{Rule, Violation},
};

thread_local! {
    static TEMPLATES: Templates = Templates::new().expect("the templates compile");
}

pub(crate) struct Notices {
    /// The addresses that customers have confirmed. No other is mailed.
    addresses: HashMap<CustomerId, Address>,
    orders: BTreeMap<OrderId, History>,
    /// How many mishaps each task has had.
    mishaps: BTreeMap<TaskId, u32>,
}

/// What was seen of an order.
struct History {
    customer: CustomerId,
    /// Each revision, and the notice that it calls for.
    revisions: Vec<(u32, Option<Expected>)>,
    mails: Vec<Mail>,
    /// The highest revision whose notice was claimed.
    claimed: u32,
    /// The revisions whose notices were claimed when they no longer helped.
    too_late: BTreeSet<u32>,
}

/// A notice, and when it no longer helps.
struct Expected {
    notice: Notice,
    helps_until: Option<Timestamp>,
}

struct Mail {
    revision: u32,
    task: TaskId,
    /// How many mishaps the sender had had when it was sent.
    mishaps: u32,
}

impl Notices {
    pub(crate) fn new(addresses: HashMap<CustomerId, Address>) -> Self {
        Self { addresses, orders: BTreeMap::new(), mishaps: BTreeMap::new() }
    }
}

impl Check for Notices {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::OrderWritten { after, .. } => self.written(after),
            Observation::Mishap(task) => *self.mishaps.entry(*task).or_insert(0) += 1,
            Observation::NoticeClaimed { order, revision, now } => {
                if let Some(history) = self.orders.get_mut(order) {
                    history.claimed = history.claimed.max(*revision);
                    let expected = history.expected(*revision);
                    if expected.is_some_and(|it| it.helps_until.is_some_and(|end| end <= *now)) {
                        history.too_late.insert(*revision);
                    }
                }
            }
            Observation::MailSent { by, to, notice } => {
                let order = notice.order;
                self.mail(*by, to, notice).map_err(|fault| {
                    let what =
                        format!("the customer of {order} is notified {fault}: {}", notice.subject);
                    Violation::new(Rule::I5, what)
                })?;
            }
            Observation::MessageDeleted { message, .. } if message.queue == "NoticeQueue" => {
                message.event().map_or(Ok(()), |event| self.acknowledged(event))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self, rest: &Rest) -> Result<(), Violation> {
        for (id, order) in &rest.orders {
            let Some(history) = self.orders.get(id) else { continue };
            let last = history.revisions.iter().rev().find_map(|(revision, notice)| {
                notice.as_ref().map(|expected| (*revision, &expected.notice.subject))
            });
            if let Some((revision, subject)) = last
                && !history.too_late.contains(&revision)
                && self.addresses.contains_key(&history.customer)
                && history.mails.last().is_none_or(|mail| mail.revision != revision)
            {
                let what = format!(
                    "{id} is {:?}, and the customer's last mail is not: {subject}",
                    order.status
                );
                return Err(Violation::new(Rule::I5, what));
            }
        }
        Ok(())
    }
}

impl History {
    fn expected(&self, revision: u32) -> Option<&Expected> {
        self.revisions.iter().find(|(this, _)| *this == revision)?.1.as_ref()
    }
}

/// When a notice of the order's state no longer helps: when the day of the pickup is over, unless
/// it is about money.
fn helps_until(order: &Order) -> Option<Timestamp> {
    let event = order.history.last().expect("a row has a history").event;
    let moved = order.payment != PaymentStatus::None;
    let about_money = match order.status {
        Status::Rejected => matches!(order.rejection, Some(Rejection::PaymentDeclined { .. })),
        Status::Ready => !order.refunds.is_empty(),
        status => status.ended_early() && moved,
    };
    if about_money || event == OrderEventType::PaymentChanged {
        return None;
    }
    // A pickup past midnight counts for the day before.
    let last_day = order.pickup_day.max(order.pickup_at.to_zoned(order.time_zone.clone()).date());
    let next_day = last_day.tomorrow().expect("a day of this century");
    let end = next_day.to_zoned(order.time_zone.clone()).expect("a day of this century");
    Some(end.timestamp())
}

impl Notices {
    fn written(&mut self, order: &Order) {
        let event = OrderEvent::latest(order.clone()).expect("a row has a history");
        let notice = TEMPLATES
            .with(|templates| templates.notice(&event))
            .expect("an event fits its template");
        let history = self.orders.entry(order.order_id).or_insert_with(|| History {
            customer: order.customer_id.clone(),
            revisions: Vec::new(),
            mails: Vec::new(),
            claimed: 0,
            too_late: BTreeSet::new(),
        });
        let helps_until = helps_until(order);
        // Nobody knows any more whom to write to.
        let notice = notice.filter(|_| !order.customer_id.is_erased());
        let expected = notice.map(|notice| Expected { notice, helps_until });
        history.revisions.push((order.revision, expected));
    }

    fn mail(&mut self, by: Worker, to: &Address, notice: &Notice) -> Result<(), String> {
        let history = self.orders.get_mut(&notice.order);
        let history = history.ok_or("of an order that does not exist")?;
        // Money may be given back, come back, and be given back again: of several states with the
        // same notice, the last one is meant for which there is a claim.
        let claimed = history.claimed;
        let known = history
            .revisions
            .iter()
            .filter_map(|(revision, known)| Some((*revision, known.as_ref()?)))
            .filter(|(_, known)| known.notice == *notice)
            .max_by_key(|(revision, _)| (*revision <= claimed, *revision));
        let (revision, expected) = known.ok_or("of a state that it was not in")?;
        if expected.helps_until.is_some_and(|end| end <= by.started) {
            return Err(format!("of revision {revision}, which no longer helps"));
        }
        if self.addresses.get(&history.customer) != Some(to) {
            return Err("at another customer's address".into());
        }
        let mishaps = |task| self.mishaps.get(&task).copied().unwrap_or(0);
        let overtaken = history.mails.iter().any(|mail| mail.revision > revision);
        let before = history.mails.iter().rfind(|mail| mail.revision == revision);
        let repeated = before.is_some_and(|mail| mishaps(mail.task) == mail.mishaps);
        history.mails.push(Mail { revision, task: by.task, mishaps: mishaps(by.task) });
        if overtaken {
            return Err(format!("of revision {revision} after a newer one"));
        }
        if repeated {
            return Err(format!("of revision {revision} twice, without a mishap in between"));
        }
        Ok(())
    }

    fn acknowledged(&self, event: &EventTag) -> Result<(), Violation> {
        let (Some(revision), Some(history)) = (event.revision, self.orders.get(&event.order))
        else {
            return Ok(());
        };
        let concerns = self.addresses.contains_key(&history.customer)
            && history.revisions.iter().any(|(this, notice)| *this == revision && notice.is_some());
        let is_notified = history.claimed > revision
            || history.too_late.contains(&revision)
            || history.mails.iter().any(|mail| mail.revision >= revision);
        if !concerns || is_notified {
            return Ok(());
        }
        let what = format!(
            "revision {revision} of {} was acknowledged without a notice to the customer",
            event.order
        );
        Err(Violation::new(Rule::I5, what))
    }
}
