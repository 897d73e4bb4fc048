use super::*;
use crate::{
    engine::{luck::Luck, trace::Verbosity},
    transport::message::EventTag,
};

struct Calm {
    core: Rc<Core>,
    queues: Rc<Queues>,
    stock: usize,
}

/// Queues without misfortune, and one message in the stock queue.
fn calm(content: &Content) -> Calm {
    let core = Rc::new(Core::new(Luck::new(0), Verbosity::Silent));
    core.luck.calm();
    let queues = Queues::new(&core, &TOPOLOGY.defaults);
    let stock = TOPOLOGY.queues.iter().position(|spec| spec.id == "StockQueue").unwrap();
    queues.send(stock, &"croissants".into(), content);
    let calm = Calm { core, queues, stock };
    calm.wait();
    calm
}

fn event() -> Content {
    Content::Event(EventTag {
        detail_type: "order.placed".into(),
        order: "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa".parse().unwrap(),
        revision: Some(1),
    })
}

impl Calm {
    /// Waits until the next message becomes visible.
    fn wait(&self) {
        self.core.clock.advance_to(self.queues.next().unwrap());
    }

    fn receive(&self) -> Option<SqsMessage> {
        let mut deliverable = false;
        self.queues.deliverable(|index| deliverable |= index == self.stock);
        deliverable.then(|| self.queues.receive(self.stock, false).batch.pop()).flatten()
    }

    /// Receives the message until it is a dead letter.
    fn exhaust(&self) {
        for _ in 0..TOPOLOGY.queues[self.stock].max_receives {
            assert!(self.receive().is_some());
            self.wait();
        }
        assert!(self.receive().is_none());
        assert_eq!((self.queues.pending().len(), self.queues.dead_letters().len()), (0, 1));
    }
}

fn receipt_handle(message: &SqsMessage) -> String {
    message.receipt_handle.clone().unwrap()
}

#[test]
fn a_message_that_is_not_deleted_is_received_again_after_its_visibility_timeout() {
    let calm = calm(&event());
    let first = calm.receive().unwrap();
    assert!(calm.receive().is_none());
    let received = calm.core.now();
    calm.wait();
    assert!(calm.core.now() >= received + TOPOLOGY.queues[calm.stock].visibility);
    let second = calm.receive().unwrap();
    assert_eq!(first.message_id, second.message_id);
    assert_eq!(second.attributes["ApproximateReceiveCount"], "2");
}

#[test]
fn a_deleted_message_is_gone() {
    let calm = calm(&event());
    let message = calm.receive().unwrap();
    assert!(calm.queues.delete(calm.stock, &receipt_handle(&message)).is_some());
    assert!(calm.queues.pending().is_empty());
}

#[test]
fn an_old_receipt_cannot_hide_a_message() {
    let calm = calm(&event());
    let old = receipt_handle(&calm.receive().unwrap());
    calm.wait();
    assert!(calm.receive().is_some());
    calm.queues.hide(calm.stock, &old, SignedDuration::ZERO);
    assert!(calm.receive().is_none());
}

#[test]
fn a_message_that_is_received_too_often_becomes_a_dead_letter_and_can_be_redriven() {
    let calm = calm(&event());
    calm.exhaust();
    calm.queues.redrive(None);
    assert_eq!(calm.receive().unwrap().attributes["ApproximateReceiveCount"], "1");
}

#[test]
fn a_throttled_receive_counts_and_hides_the_message_without_handing_it_over() {
    let calm = calm(&event());
    let spec = &TOPOLOGY.queues[calm.stock];
    for _ in 0..spec.max_receives {
        assert!(calm.queues.receive(calm.stock, true).batch.is_empty());
        assert!(calm.receive().is_none());
        calm.wait();
    }
    let received = calm.queues.receive(calm.stock, false);
    let [given_up] = &received.given_up[..] else { panic!("{received:?}") };
    assert_eq!((given_up.receives, given_up.handed), (spec.max_receives, 0));
}

#[test]
fn poison_stays_among_the_dead_letters() {
    let calm = calm(&Content::Poison);
    calm.exhaust();
    calm.queues.redrive(None);
    assert_eq!((calm.queues.pending().len(), calm.queues.dead_letters().len()), (0, 1));
}

#[test]
fn the_retention_counts_from_the_first_send_and_a_redrive_starts_it_anew() {
    let day = SignedDuration::from_hours(24);
    let calm = calm(&event());
    let sent = calm.core.now();
    calm.exhaust();
    calm.core.clock.advance_to(sent + day * 13);
    assert!(calm.queues.delete_expired().is_empty());
    calm.queues.redrive(None);
    calm.exhaust();

    calm.core.clock.advance_to(sent + day * 26);
    assert!(calm.queues.delete_expired().is_empty());
    calm.core.clock.advance_to(sent + day * 28);
    let expired = calm.queues.delete_expired();
    assert!(matches!(&expired[..], [message] if message.queue == "StockQueue"));
    assert!(calm.queues.dead_letters().is_empty());
}
