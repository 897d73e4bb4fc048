//! Queues with the guarantees of SQS: a message arrives at least once, late, twice, out of order,
//! and again until it is deleted; after too many receives it becomes a dead letter, and at the end
//! of its retention it is gone.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use aws_lambda_events::sqs::{SqsMessage, SqsMessageAttribute};
use jiff::{SignedDuration, Timestamp};
use platform::queue::ASK;

use crate::{
    engine::core::Core,
    transport::{
        message::{Content, QueuedMessage},
        topology::{Parameters, QueueSpec, TOPOLOGY},
    },
};

/// How late the second copy of a message can arrive.
const LATEST_COPY: SignedDuration = SignedDuration::from_hours(3 * 24);

#[derive(Clone, Debug)]
struct Message {
    id: u64,
    body: Rc<str>,
    content: Content,
    /// When it was sent, or redriven: the start of its retention.
    sent_at: Timestamp,
    visible_from: Timestamp,
    /// How often it was asked for again, which its attribute says unless it is zero.
    asks: u32,
    receives: u32,
    /// The receives that were handed to the function.
    handed: u32,
}

impl Message {
    /// Changes with every receive.
    fn receipt_handle(&self) -> String {
        format!("{}:{}", self.id, self.receives)
    }

    fn in_queue(&self, index: usize) -> QueuedMessage {
        QueuedMessage {
            queue: &TOPOLOGY.queues[index].id,
            body: self.body.clone(),
            content: self.content.clone(),
        }
    }

    fn as_record(&self) -> SqsMessage {
        let mut record = SqsMessage::default();
        record.message_id = Some(self.id.to_string());
        record.receipt_handle = Some(self.receipt_handle());
        record.body = Some(self.body.to_string());
        record.attributes.insert("ApproximateReceiveCount".into(), self.receives.to_string());
        if self.asks > 0 {
            let mut asks = SqsMessageAttribute::default();
            (asks.data_type, asks.string_value) =
                (Some("Number".into()), Some(self.asks.to_string()));
            record.message_attributes.insert(ASK.into(), asks);
        }
        record
    }
}

/// A message that is about to be sent.
#[derive(Clone, Copy)]
struct New<'a> {
    body: &'a Rc<str>,
    content: &'a Content,
    delay: SignedDuration,
    asks: u32,
}

#[derive(Debug, Default)]
struct Queue {
    messages: Vec<Message>,
    dead_letters: Vec<Message>,
    delay: SignedDuration,
    invocations: usize,
    /// No function takes its messages.
    is_unread: bool,
}

/// What is received at once.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) batch: Vec<SqsMessage>,
    /// Messages that became dead letters instead.
    pub(crate) given_up: Vec<GivenUp>,
}

/// A message that has become a dead letter.
#[derive(Debug)]
pub(crate) struct GivenUp {
    pub(crate) message: QueuedMessage,
    pub(crate) receives: u32,
    /// The receives that were handed to the function.
    pub(crate) handed: u32,
}

/// All queues, by their index in the topology.
pub(crate) struct Queues {
    core: Rc<Core>,
    queues: RefCell<Vec<Queue>>,
    sent: Cell<u64>,
}

impl Queues {
    pub(crate) fn new(core: &Rc<Core>, parameters: &Parameters) -> Rc<Self> {
        let queue = |spec: &QueueSpec| Queue { delay: spec.delay(parameters), ..Queue::default() };
        Rc::new(Self {
            core: core.clone(),
            queues: RefCell::new(TOPOLOGY.queues.iter().map(queue).collect()),
            sent: Cell::default(),
        })
    }

    /// Sends a message, which may arrive late or twice.
    pub(crate) fn send(&self, queue: usize, body: &Rc<str>, content: &Content) {
        let (luck, now) = (&self.core.luck, self.core.now());
        let delay = self.queues.borrow()[queue].delay;
        let message = New { body, content, delay, asks: 0 };
        self.put(queue, message, now + self.way());
        if luck.chance(luck.odds().doubled_message) {
            self.put(queue, message, now + luck.wait(LATEST_COPY));
        }
    }

    /// Sends a copy of a message after so many `asks`, with a delay of its own. It may arrive late.
    /// Returns its id.
    pub(crate) fn send_copy(
        &self,
        queue: usize,
        body: &Rc<str>,
        content: &Content,
        asks: u32,
        delay: SignedDuration,
    ) -> String {
        let message = New { body, content, delay, asks };
        self.put(queue, message, self.core.now() + self.way()).to_string()
    }

    /// How long a message is on its way to a queue.
    fn way(&self) -> SignedDuration {
        let luck = &self.core.luck;
        if luck.chance(luck.odds().late_message) {
            luck.wait(SignedDuration::from_hours(1))
        } else {
            SignedDuration::from_millis(luck.between(1, 30))
        }
    }

    /// Sends something that no function can read.
    pub(crate) fn send_poison(&self, queue: usize, body: &Rc<str>) {
        let (delay, content) = (self.queues.borrow()[queue].delay, &Content::Poison);
        self.put(queue, New { body, content, delay, asks: 0 }, self.core.now());
    }

    /// Puts a message into a queue, and returns its id.
    fn put(&self, queue: usize, message: New<'_>, sent_at: Timestamp) -> u64 {
        let New { body, content, delay, asks } = message;
        let id = self.next_id();
        self.queues.borrow_mut()[queue].messages.push(Message {
            id,
            body: body.clone(),
            content: content.clone(),
            sent_at,
            visible_from: self.core.luck.due(sent_at + delay),
            asks,
            receives: 0,
            handed: 0,
        });
        id
    }

    fn next_id(&self) -> u64 {
        let id = self.sent.get() + 1;
        self.sent.set(id);
        id
    }

    /// Adds the queues from which a batch can be received now.
    pub(crate) fn deliverable(&self, mut add: impl FnMut(usize)) {
        let now = self.core.now();
        for (index, queue) in self.queues.borrow().iter().enumerate() {
            if !queue.is_unread
                && queue.invocations < TOPOLOGY.queues[index].concurrency
                && queue.messages.iter().any(|message| message.visible_from <= now)
            {
                add(index);
            }
        }
    }

    /// The next time at which another message becomes visible.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let (now, queues) = (self.core.now(), self.queues.borrow());
        let messages = queues.iter().filter(|it| !it.is_unread).flat_map(|it| &it.messages);
        messages.map(|message| message.visible_from).filter(|from| *from > now).min()
    }

    /// Receives some of the visible messages, in any order. When Lambda is `throttled`, they are
    /// handed to no function, and stay hidden until their visibility timeout ends.
    pub(crate) fn receive(&self, index: usize, throttled: bool) -> Received {
        let (spec, luck, now) = (&TOPOLOGY.queues[index], &self.core.luck, self.core.now());
        let mut queues = self.queues.borrow_mut();
        let queue = &mut queues[index];
        let mut visible: Vec<_> = (0..queue.messages.len())
            .filter(|at| queue.messages[*at].visible_from <= now)
            .collect();
        let wanted = 1 + luck.below(visible.len().min(spec.batch_size));
        let mut received = Received::default();
        let mut dead = Vec::new();
        for _ in 0..wanted {
            let at = visible.swap_remove(luck.below(visible.len()));
            let message = &mut queue.messages[at];
            if message.receives == spec.max_receives {
                dead.push(message.id);
                continue;
            }
            message.receives += 1;
            if throttled || !luck.chance(luck.odds().shared_message) {
                message.visible_from = luck.due(now + spec.visibility);
            }
            if throttled {
                self.core.trace(&spec.id, || format!("message {} is throttled", message.id));
                continue;
            }
            message.handed += 1;
            received.batch.push(message.as_record());
        }
        for id in dead {
            let at =
                queue.messages.iter().position(|message| message.id == id).expect("it was there");
            let message = queue.messages.swap_remove(at);
            self.core.trace(&spec.id, || {
                format!("message {id} becomes a dead letter: {}", message.body)
            });
            received.given_up.push(GivenUp {
                message: message.in_queue(index),
                receives: message.receives,
                handed: message.handed,
            });
            queue.dead_letters.push(message);
        }
        received
    }

    /// Hides the message of that receipt for `wait`.
    pub(crate) fn hide(&self, queue: usize, receipt_handle: &str, wait: SignedDuration) {
        let messages = &mut self.queues.borrow_mut()[queue].messages;
        if let Some(message) =
            messages.iter_mut().find(|message| message.receipt_handle() == receipt_handle)
        {
            message.visible_from = self.core.luck.due(self.core.now() + wait);
        }
    }

    /// Deletes the message of that receipt and returns it. With the receipt of an earlier receive,
    /// that only sometimes works.
    pub(crate) fn delete(&self, queue: usize, receipt_handle: &str) -> Option<QueuedMessage> {
        let messages = &mut self.queues.borrow_mut()[queue].messages;
        let (id, _) = receipt_handle.split_once(':')?;
        let at = messages.iter().position(|message| message.id.to_string() == id)?;
        if messages[at].receipt_handle() != receipt_handle && self.core.luck.below(2) == 0 {
            return None;
        }
        Some(messages.swap_remove(at).in_queue(queue))
    }

    /// Sends dead letters back to their queues, except for poison. Those that would still live at
    /// `next_redrive` may be left until then.
    pub(crate) fn redrive(&self, next_redrive: Option<Timestamp>) {
        let (luck, now) = (&self.core.luck, self.core.now());
        let mut queues = self.queues.borrow_mut();
        for (queue, spec) in queues.iter_mut().zip(&TOPOLOGY.queues) {
            for message in std::mem::take(&mut queue.dead_letters) {
                let ends = message.sent_at + spec.dead_letter_retention;
                let is_left = next_redrive.is_some_and(|next| next < ends) && luck.chance(500);
                if is_left || matches!(message.content, Content::Poison) {
                    queue.dead_letters.push(message);
                    continue;
                }
                self.core.trace(&spec.id, || format!("message {} is redriven", message.id));
                let visible_from = now + queue.delay;
                queue.messages.push(Message {
                    // It is sent anew.
                    id: self.next_id(),
                    receives: 0,
                    handed: 0,
                    sent_at: now,
                    visible_from,
                    ..message
                });
            }
        }
    }

    /// Disables or enables the mapping that feeds a function from the queue.
    pub(crate) fn set_unread(&self, queue: usize, is_unread: bool) {
        self.queues.borrow_mut()[queue].is_unread = is_unread;
    }

    /// Loses all messages and dead letters, and returns how many.
    pub(crate) fn lose_everything(&self) -> usize {
        let mut queues = self.queues.borrow_mut();
        let lost = queues.iter().map(|queue| queue.messages.len() + queue.dead_letters.len()).sum();
        for queue in queues.iter_mut() {
            queue.messages.clear();
            queue.dead_letters.clear();
        }
        lost
    }

    /// Deletes all dead letters.
    pub(crate) fn purge_dead_letters(&self) {
        self.queues.borrow_mut().iter_mut().for_each(|queue| queue.dead_letters.clear());
    }

    /// Adds for each queue, by its index, the time when the oldest message was sent that was
    /// received at most twice, as SQS counts it, and the number of dead letters.
    pub(crate) fn measure(&self, mut add: impl FnMut(usize, Option<Timestamp>, usize)) {
        for (index, queue) in self.queues.borrow().iter().enumerate() {
            let counted = queue.messages.iter().filter(|message| message.receives < 3);
            add(index, counted.map(|message| message.sent_at).min(), queue.dead_letters.len());
        }
    }

    /// Deletes what has reached the end of its retention, and returns it.
    pub(crate) fn delete_expired(&self) -> Vec<QueuedMessage> {
        let (mut expired, now) = (Vec::new(), self.core.now());
        let mut queues = self.queues.borrow_mut();
        for (index, (queue, spec)) in queues.iter_mut().zip(&TOPOLOGY.queues).enumerate() {
            for (messages, retention) in [
                (&mut queue.messages, spec.retention),
                (&mut queue.dead_letters, spec.dead_letter_retention),
            ] {
                let ends = |message: &mut Message| message.sent_at + retention <= now;
                expired.extend(messages.extract_if(.., ends).map(|it| it.in_queue(index)));
            }
        }
        expired
    }

    /// Messages that are neither deleted nor dead letters.
    pub(crate) fn pending(&self) -> Vec<QueuedMessage> {
        self.all(|queue| &queue.messages)
    }

    pub(crate) fn dead_letters(&self) -> Vec<QueuedMessage> {
        self.all(|queue| &queue.dead_letters)
    }

    fn all(&self, part: impl Fn(&Queue) -> &Vec<Message>) -> Vec<QueuedMessage> {
        let queues = self.queues.borrow();
        let messages = queues
            .iter()
            .enumerate()
            .flat_map(|(index, queue)| part(queue).iter().map(move |it| it.in_queue(index)));
        messages.collect()
    }
}

/// One of the invocations that may handle messages of a queue at a time; dropping it makes room for
/// the next.
pub(crate) struct Slot {
    queues: Rc<Queues>,
    queue: usize,
}

impl Slot {
    pub(crate) fn take(queues: &Rc<Queues>, queue: usize) -> Self {
        queues.queues.borrow_mut()[queue].invocations += 1;
        Self { queues: queues.clone(), queue }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.queues.queues.borrow_mut()[self.queue].invocations -= 1;
    }
}

#[cfg(test)]
mod tests;
