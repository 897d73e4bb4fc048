"""Disputes: a customer's bank takes the money back, and decides who keeps it."""

import stripe

from sandbox import SandboxTest


class Disputes(SandboxTest):
    def disputed(self, payment_method="pm_card_createDispute"):
        """Pays with a card whose customer disputes the charge at once."""
        paid = self.pay(payment_method)
        [dispute] = self.disputes.list({"payment_intent": paid.id}).auto_paging_iter()
        return paid, self.well_formed(dispute)

    def answer(self, dispute, text):
        evidence = {"uncategorized_text": text}
        return self.well_formed(self.disputes.update(dispute.id, {"evidence": evidence}))

    def test_a_disputed_charge_is_not_refunded(self):
        paid, dispute = self.disputed()
        self.assertEqual((dispute.status, dispute.reason), ("needs_response", "fraudulent"))
        self.assertEqual((dispute.amount, dispute.currency), (1099, "eur"))
        self.assertEqual((dispute.payment_intent, dispute.charge), (paid.id, paid.latest_charge))
        self.assertFalse(dispute.is_charge_refundable)
        error = self.refused(stripe.InvalidRequestError, self.refund, paid)
        self.assertEqual(error.code, "charge_disputed")

    def test_a_dispute_that_is_won_lets_the_charge_be_refunded(self):
        paid, dispute = self.disputed("pm_card_createDisputeProductNotReceived")
        self.assertEqual(self.answer(dispute, "the receipt").status, "under_review")
        self.assertEqual(self.answer(dispute, "winning_evidence").status, "won")
        self.assertEqual(self.refund(paid).amount, 1099)

    def test_a_dispute_is_lost_by_the_evidence_or_by_giving_it_up(self):
        paid, dispute = self.disputed()
        self.assertEqual(self.answer(dispute, "losing_evidence").status, "lost")
        self.refused(stripe.InvalidRequestError, self.refund, paid)
        _, dispute = self.disputed()
        self.assertEqual(self.well_formed(self.disputes.close(dispute.id)).status, "lost")
        self.refused(stripe.InvalidRequestError, self.disputes.close, dispute.id)

    def test_an_inquiry_moves_no_money(self):
        paid, dispute = self.disputed("pm_card_createDisputeInquiry")
        self.assertEqual(dispute.status, "warning_needs_response")
        self.assertTrue(dispute.is_charge_refundable)
        self.assertEqual(self.refund(paid).amount, 1099)
        self.assertEqual(self.answer(dispute, "winning_evidence").status, "warning_closed")

    def test_disputes_are_looked_up_and_listed(self):
        _, dispute = self.disputed()
        self.assertEqual(self.disputes.retrieve(dispute.id), dispute)
        newest = self.disputes.list({"limit": 1}).data
        self.assertEqual([each.id for each in newest], [dispute.id])
        error = self.refused(stripe.InvalidRequestError, self.disputes.retrieve, "dp_unknown")
        self.assertEqual(error.code, "resource_missing")
