"""Refunds: whole and in part, and as they stand days later."""

import stripe

from sandbox import SandboxTest


class Refunds(SandboxTest):
    def listed(self, intent):
        """The refunds of an intent, newest first."""
        found = self.refunds.list({"payment_intent": intent.id, "limit": 1}).auto_paging_iter()
        return [self.well_formed(refund) for refund in found]

    def test_a_refund_gives_everything_back(self):
        paid = self.pay()
        refund = self.refund(paid)
        self.assertEqual((refund.status, refund.amount), ("succeeded", 1099))
        self.assertEqual((refund.payment_intent, refund.charge), (paid.id, paid.latest_charge))
        self.assertEqual(self.retrieve(paid), paid, "the intent says what was taken")

    def test_partial_refunds_carry_their_reason_and_metadata(self):
        paid = self.pay()
        first = self.refund(paid, amount=99, reason="requested_by_customer")
        second = self.refund(paid, amount=1000, metadata={"refund_id": "r-2"})
        self.assertEqual(first.reason, "requested_by_customer")
        self.assertEqual(second.metadata["refund_id"], "r-2")
        self.assertEqual(self.listed(paid), [second, first])

    def test_no_more_is_given_back_than_was_taken(self):
        paid = self.pay()
        self.refund(paid, amount=1000)
        error = self.refused(stripe.InvalidRequestError, self.refund, paid, amount=100)
        self.assertEqual(error.param, "amount")
        self.assertEqual(self.refund(paid).amount, 99)
        error = self.refused(stripe.InvalidRequestError, self.refund, paid)
        self.assertEqual(error.code, "charge_already_refunded")

    def test_an_intent_that_took_nothing_has_nothing_to_give_back(self):
        error = self.refused(stripe.InvalidRequestError, self.refund, self.create("pm_card_visa"))
        self.assertEqual(error.param, "payment_intent")

    def test_a_refund_that_succeeded_may_fail_later(self):
        paid = self.pay("pm_card_refundFail")
        self.assertEqual(self.refund(paid).status, "succeeded")
        [failed] = self.listed(paid)
        self.assertEqual(failed.status, "failed")
        self.assertEqual(failed.failure_reason, "expired_or_canceled_card")
        self.assertEqual(self.refund(paid).amount, 1099, "it is owed again")

    def test_a_refund_may_be_pending_first(self):
        paid = self.pay("pm_card_pendingRefund")
        self.assertEqual(self.refund(paid).status, "pending")
        for status in ("pending", "succeeded"):
            self.assertEqual([refund.status for refund in self.listed(paid)], [status])

    def test_a_repeated_refund_with_the_same_key_gives_back_once(self):
        paid = self.pay()
        params = {"payment_intent": paid.id, "amount": 99}
        options = {"idempotency_key": f"refund-{paid.id}"}
        first, again = (self.refunds.create(params, options) for _ in range(2))
        self.assertEqual(first, again)
        self.assertEqual(len(self.listed(paid)), 1)

    def test_all_refunds_are_listed_page_by_page(self):
        paid = self.pay()
        made = [self.refund(paid, amount=10).id for _ in range(102)]
        found = self.refunds.list({"limit": 100, "created": {"gte": paid.created}})
        mine = [each.id for each in found.auto_paging_iter() if each.payment_intent == paid.id]
        self.assertEqual(mine, made[::-1])

    def test_the_refunds_of_an_unknown_intent_are_missing(self):
        for call in [self.refunds.list, self.refunds.create]:
            error = self.refused(
                stripe.InvalidRequestError, call, {"payment_intent": "pi_unknown"}
            )
            self.assertEqual((error.code, error.param), ("resource_missing", "payment_intent"))
