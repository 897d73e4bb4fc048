"""Intents: created, confirmed, cancelled, looked up and listed."""

import time

import stripe

from sandbox import SandboxTest, client, intents_of, order


class Intents(SandboxTest):
    def test_an_intent_takes_its_amount_once_it_is_confirmed(self):
        intent = self.create("pm_card_visa", metadata={"order_id": "6735"})
        self.assertEqual((intent.status, intent.amount_received), ("requires_confirmation", 0))
        paid = self.confirm(intent)
        self.assertEqual((paid.status, paid.amount_received), ("succeeded", 1099))
        self.assertEqual(self.retrieve(intent), paid)
        self.assertEqual(paid.metadata["order_id"], "6735")

    def test_an_intent_without_a_payment_method_is_confirmed_with_one(self):
        intent = self.create()
        self.assertEqual(intent.status, "requires_payment_method")
        paid = self.confirm(intent, payment_method="pm_card_mastercard")
        self.assertEqual(paid.status, "succeeded")

    def test_an_intent_is_created_and_confirmed_at_once(self):
        self.assertEqual(self.create("pm_card_visa", confirm=True).status, "succeeded")

    def test_a_cancelled_intent_never_takes_money(self):
        intent = self.create("pm_card_visa")
        cancelled = self.intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
        self.well_formed(cancelled)
        self.assertEqual(
            (cancelled.status, cancelled.cancellation_reason), ("canceled", "abandoned")
        )
        for call in [self.intents.confirm, self.intents.cancel]:
            error = self.refused(stripe.InvalidRequestError, call, intent.id)
            self.assertEqual(error.code, "payment_intent_unexpected_state")
            self.assertEqual(error.error.payment_intent.status, "canceled")

    def test_a_succeeded_intent_is_neither_confirmed_nor_cancelled_again(self):
        paid = self.pay()
        for call in [self.intents.confirm, self.intents.cancel]:
            error = self.refused(stripe.InvalidRequestError, call, paid.id)
            self.assertEqual(error.code, "payment_intent_unexpected_state")
            self.assertEqual(error.error.payment_intent, paid)

    def test_an_intent_without_a_payment_method_cannot_be_confirmed(self):
        error = self.refused(stripe.InvalidRequestError, self.intents.confirm, self.create().id)
        self.assertEqual(error.code, "payment_intent_unexpected_state")
        self.assertEqual(error.error.payment_intent.status, "requires_payment_method")

    def test_an_unknown_intent_is_missing(self):
        error = self.refused(stripe.InvalidRequestError, self.intents.retrieve, "pi_unknown")
        self.assertEqual((error.http_status, error.code), (404, "resource_missing"))
        self.assertEqual(error.param, "intent")

    def test_an_invalid_parameter_is_named(self):
        for params, param, code in [
            ({"currency": "eur"}, "amount", "parameter_missing"),
            ({"currency": "eur", "amount": 49}, "amount", "amount_too_small"),
            ({"currency": "eur", "amount": 10.99}, "amount", "parameter_invalid_integer"),
            ({"currency": "eur", "amount": 1099, "colour": "red"}, "colour", "parameter_unknown"),
        ]:
            with self.subTest(param=param, code=code):
                error = self.refused(stripe.InvalidRequestError, self.intents.create, params)
                self.assertEqual((error.http_status, error.param, error.code), (400, param, code))

    def test_a_wrong_key_authenticates_nobody(self):
        for call in [client("sk_test_wrong").v1.payment_intents.list, client("x").v1.refunds.list]:
            error = self.refused(stripe.AuthenticationError, call)
            self.assertEqual(error.http_status, 401)


class Lists(SandboxTest):
    def test_pages_of_a_hundred_are_turned_until_every_intent_was_seen(self):
        before = int(time.time())
        created = [self.create().id for _ in range(120)]
        first = self.intents.list({"limit": 100, "created": {"gte": before}})
        self.assertEqual((len(first.data), first.has_more), (100, True))
        mine = [each.id for each in first.auto_paging_iter() if each.id in created]
        self.assertEqual(mine, created[::-1], "newest first, each once")

    def test_a_list_may_be_limited_to_a_time(self):
        early = self.create()
        while int(time.time()) <= early.created:
            time.sleep(0.05)
        late = self.create()

        def listed(**created):
            found = self.intents.list({"created": created, "limit": 1}).auto_paging_iter()
            return {each.id for each in found} & {early.id, late.id}

        self.assertEqual(listed(gte=early.created), {early.id, late.id})
        self.assertEqual(listed(gt=early.created), {late.id})
        self.assertEqual(listed(lt=late.created), {early.id})
        self.assertEqual(listed(gte=early.created, lte=early.created), {early.id})
        self.assertEqual(listed(gt=late.created), set())

    def test_a_page_cannot_begin_after_an_unknown_intent(self):
        error = self.refused(
            stripe.InvalidRequestError, self.intents.list, {"starting_after": "pi_unknown"}
        )
        self.assertEqual((error.code, error.param), ("resource_missing", "starting_after"))


class IdempotencyKeys(SandboxTest):
    def test_the_same_key_gets_the_same_answer(self):
        mine = order()
        params = {"amount": 1099, "currency": "eur", "metadata": mine}
        first, again = (
            self.intents.create(params, {"idempotency_key": mine["order_id"]}) for _ in range(2)
        )
        self.assertEqual(first, again)
        self.assertEqual(again.last_response.headers["idempotent-replayed"], "true")
        self.assertEqual(len(intents_of(mine)), 1)

    def test_a_key_is_for_one_request_only(self):
        mine = order()
        options = {"idempotency_key": mine["order_id"]}
        self.intents.create({"amount": 1099, "currency": "eur", "metadata": mine}, options)
        other = {"amount": 1100, "currency": "eur", "metadata": mine}
        error = self.refused(stripe.IdempotencyError, self.intents.create, other, options)
        self.assertEqual((error.http_status, error.error.type), (400, "idempotency_error"))
        self.assertEqual(len(intents_of(mine)), 1)

    def test_a_decline_is_replayed_too(self):
        intent = self.create("pm_card_chargeDeclined")
        options = {"idempotency_key": f"confirm-{intent.id}"}
        first, again = (
            self.refused(stripe.CardError, self.intents.confirm, intent.id, {}, options)
            for _ in range(2)
        )
        self.assertEqual(first.json_body, again.json_body)
