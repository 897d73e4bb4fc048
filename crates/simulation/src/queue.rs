//! Queues as SQS has them: a message comes at least once, late, twice, out of order, and again when
//! nobody has deleted it in time; who is received too often ends among the dead letters.

use std::rc::Rc;

use aws_lambda_events::sqs::SqsMessage;
use jiff::{SignedDuration, Timestamp};
use shop::id::OrderId;

use crate::{
    topology::{Parameters, TOPOLOGY},
    world::World,
};

/// How many invocations of a function handle messages of one queue at a time.
const CONCURRENCY: usize = 3;

/// What a message is, as far as those who watch have to know.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Event(Tag),
    /// Nothing that the queue should carry.
    Poison,
}

/// What an event is about.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) detail_type: String,
    pub(crate) order: OrderId,
    /// The order's revision, in its own events.
    pub(crate) revision: Option<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    id: u64,
    pub(crate) body: Rc<str>,
    pub(crate) content: Content,
    visible_from: Timestamp,
    receives: u32,
}

impl Message {
    /// Changes with every receive.
    fn handle(&self) -> String {
        format!("{}:{}", self.id, self.receives)
    }
}

#[derive(Debug, Default)]
struct Queue {
    messages: Vec<Message>,
    dead: Vec<Message>,
    delay: SignedDuration,
    invocations: usize,
}

/// All queues, by their index in the topology.
#[derive(Debug)]
pub(crate) struct Queues {
    queues: Vec<Queue>,
    sent: u64,
}

impl Queues {
    pub(crate) fn new(parameters: &Parameters) -> Self {
        let queue = |spec: &crate::topology::QueueSpec| Queue {
            delay: spec.delay(parameters),
            ..Queue::default()
        };
        Self { queues: TOPOLOGY.queues.iter().map(queue).collect(), sent: 0 }
    }

    /// Sends a message, as well as the run's luck allows.
    pub(crate) fn send(&mut self, queue: usize, body: &Rc<str>, content: &Content, world: &World) {
        let (luck, odds) = (&world.luck, world.luck.odds());
        let late = luck.strikes(odds.late_message);
        let way = if late {
            luck.wait(SignedDuration::from_hours(1))
        } else {
            SignedDuration::from_millis(luck.between(1, 30))
        };
        self.put(queue, body, content, world.now() + way, world);
        if luck.strikes(odds.doubled_message) {
            self.put(
                queue,
                body,
                content,
                world.now() + luck.wait(SignedDuration::from_hours(24 * 3)),
                world,
            );
        }
    }

    /// Sends what nobody can read.
    pub(crate) fn poison(&mut self, queue: usize, body: &Rc<str>, world: &World) {
        self.put(queue, body, &Content::Poison, world.now(), world);
    }

    fn put(
        &mut self,
        queue: usize,
        body: &Rc<str>,
        content: &Content,
        at: Timestamp,
        world: &World,
    ) {
        self.sent += 1;
        let queue = &mut self.queues[queue];
        let (body, content, visible_from) =
            (body.clone(), content.clone(), world.luck.due(at + queue.delay));
        queue.messages.push(Message { id: self.sent, body, content, visible_from, receives: 0 });
    }

    /// Queues from which a batch can be received.
    pub(crate) fn deliverable(&self, now: Timestamp) -> impl Iterator<Item = usize> {
        let open = move |queue: &Queue| {
            queue.invocations < CONCURRENCY
                && queue.messages.iter().any(|message| message.visible_from <= now)
        };
        self.queues.iter().enumerate().filter(move |(_, queue)| open(queue)).map(|(index, _)| index)
    }

    /// The first time after `now` at which another message can be seen.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let messages = self.queues.iter().flat_map(|queue| &queue.messages);
        messages.map(|message| message.visible_from).filter(|from| *from > now).min()
    }

    /// Receives some of the visible messages, in any order.
    pub(crate) fn receive(&mut self, index: usize, world: &World) -> Vec<SqsMessage> {
        let (queue, spec, luck, now) =
            (&mut self.queues[index], &TOPOLOGY.queues[index], &world.luck, world.now());
        let mut visible: Vec<_> = (0..queue.messages.len())
            .filter(|at| queue.messages[*at].visible_from <= now)
            .collect();
        let wanted = 1 + luck.below(visible.len().min(spec.batch_size));
        let mut batch = Vec::with_capacity(wanted);
        let mut dead = Vec::new();
        for _ in 0..wanted {
            let at = visible.swap_remove(luck.below(visible.len()));
            let message = &mut queue.messages[at];
            if message.receives == spec.max_receives {
                dead.push(message.id);
                continue;
            }
            message.receives += 1;
            if !luck.strikes(luck.odds().shared_message) {
                message.visible_from = luck.due(now + spec.visibility);
            }
            let mut record = SqsMessage::default();
            record.message_id = Some(message.id.to_string());
            record.receipt_handle = Some(message.handle());
            record.body = Some(message.body.to_string());
            record
                .attributes
                .insert("ApproximateReceiveCount".into(), message.receives.to_string());
            batch.push(record);
        }
        for id in dead {
            let at =
                queue.messages.iter().position(|message| message.id == id).expect("it was there");
            let message = queue.messages.swap_remove(at);
            world.tell(&spec.id, || {
                format!("message {id} goes to the dead letters: {}", message.body)
            });
            queue.dead.push(message);
        }
        batch
    }

    /// Hides the message of that receipt for so long.
    pub(crate) fn hide(&mut self, queue: usize, handle: &str, wait: SignedDuration, world: &World) {
        if let Some(message) =
            self.queues[queue].messages.iter_mut().find(|message| message.handle() == handle)
        {
            message.visible_from = world.luck.due(world.now() + wait);
        }
    }

    /// Deletes the message of that receipt, and returns it. Once it was received again, that may
    /// come to nothing.
    pub(crate) fn delete(&mut self, queue: usize, handle: &str, world: &World) -> Option<Message> {
        let messages = &mut self.queues[queue].messages;
        let (id, _) = handle.split_once(':')?;
        let at = messages.iter().position(|message| message.id.to_string() == id)?;
        if messages[at].handle() != handle && world.luck.below(2) == 0 {
            return None;
        }
        Some(messages.swap_remove(at))
    }

    /// Sends the dead letters that are no poison back to where they came from.
    pub(crate) fn redrive(&mut self, world: &World) -> usize {
        let mut redriven = 0;
        for index in 0..self.queues.len() {
            let dead = std::mem::take(&mut self.queues[index].dead);
            for message in dead {
                if matches!(message.content, Content::Poison) {
                    self.queues[index].dead.push(message);
                } else {
                    redriven += 1;
                    world.tell(&TOPOLOGY.queues[index].id, || {
                        format!("message {} is redriven", message.id)
                    });
                    let delay = self.queues[index].delay;
                    self.queues[index].messages.push(Message {
                        receives: 0,
                        visible_from: world.now() + delay,
                        ..message
                    });
                }
            }
        }
        redriven
    }

    /// Messages that are neither deleted nor dead, with their queue's index.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (usize, &Message)> {
        self.queues
            .iter()
            .enumerate()
            .flat_map(|(index, queue)| queue.messages.iter().map(move |message| (index, message)))
    }

    /// Dead letters, with their queue's index.
    pub(crate) fn dead(&self) -> impl Iterator<Item = (usize, &Message)> {
        self.queues
            .iter()
            .enumerate()
            .flat_map(|(index, queue)| queue.dead.iter().map(move |message| (index, message)))
    }
}

/// The right of an invocation to handle messages of a queue, for as long as it lives.
pub(crate) struct Place {
    world: Rc<World>,
    queue: usize,
}

impl Place {
    pub(crate) fn take(world: &Rc<World>, queue: usize) -> Self {
        world.queues.borrow_mut().queues[queue].invocations += 1;
        Self { world: world.clone(), queue }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.world.queues.borrow_mut().queues[self.queue].invocations -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{luck::Luck, story::Story, workload};

    /// A world in which nothing goes wrong, with one message in the stock queue.
    fn world() -> (Rc<World>, usize) {
        let luck = Luck::new(0);
        luck.turns();
        let world =
            World::new(luck, Story::new(false), TOPOLOGY.defaults.clone(), workload::customers());
        let stock = TOPOLOGY.queue("StockQueue");
        world.queues.borrow_mut().send(stock, &"croissants".into(), &Content::Poison, &world);
        wait(&world);
        (world, stock)
    }

    /// Until the next message can be seen.
    fn wait(world: &World) {
        let next = world.queues.borrow().next(world.now()).unwrap();
        world.time_is(next);
    }

    fn receive(world: &World, queue: usize) -> Option<SqsMessage> {
        let there = world.queues.borrow().deliverable(world.now()).any(|index| index == queue);
        there.then(|| world.queues.borrow_mut().receive(queue, world).pop()).flatten()
    }

    fn handle(message: &SqsMessage) -> String {
        message.receipt_handle.clone().unwrap()
    }

    #[test]
    fn a_message_that_is_not_deleted_comes_again_after_its_visibility_timeout() {
        let (world, stock) = world();
        let first = receive(&world, stock).unwrap();
        assert!(receive(&world, stock).is_none());
        let received = world.now();
        wait(&world);
        assert!(world.now() >= received + TOPOLOGY.queues[stock].visibility);
        let second = receive(&world, stock).unwrap();
        assert_eq!(first.message_id, second.message_id);
        assert_eq!(second.attributes["ApproximateReceiveCount"], "2");
    }

    #[test]
    fn a_message_that_is_deleted_is_gone() {
        let (world, stock) = world();
        let message = receive(&world, stock).unwrap();
        assert!(world.queues.borrow_mut().delete(stock, &handle(&message), &world).is_some());
        assert_eq!(world.queues.borrow().pending().count(), 0);
    }

    #[test]
    fn whoever_holds_an_old_receipt_cannot_hide_a_message() {
        let (world, stock) = world();
        let old = handle(&receive(&world, stock).unwrap());
        wait(&world);
        assert!(receive(&world, stock).is_some());
        world.queues.borrow_mut().hide(stock, &old, SignedDuration::ZERO, &world);
        assert!(receive(&world, stock).is_none());
    }

    #[test]
    fn a_message_that_is_received_too_often_ends_among_the_dead_letters_and_can_be_redriven() {
        let (world, stock) = world();
        let event = Tag { detail_type: "order.placed".into(), order: uuid(), revision: Some(1) };
        world.queues.borrow_mut().queues[stock].messages[0].content = Content::Event(event);
        for _ in 0..TOPOLOGY.queues[stock].max_receives {
            assert!(receive(&world, stock).is_some());
            wait(&world);
        }
        assert!(receive(&world, stock).is_none());
        assert_eq!(world.queues.borrow().dead().count(), 1);
        assert_eq!(world.queues.borrow_mut().redrive(&world), 1);
        assert_eq!(receive(&world, stock).unwrap().attributes["ApproximateReceiveCount"], "1");
    }

    #[test]
    fn poison_stays_among_the_dead_letters() {
        let (world, stock) = world();
        while receive(&world, stock).is_some() {
            wait(&world);
        }
        assert_eq!(world.queues.borrow_mut().redrive(&world), 0);
    }

    fn uuid() -> OrderId {
        "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa".parse().unwrap()
    }
}
