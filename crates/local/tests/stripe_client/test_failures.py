"""The provider's failures, and how Stripe's client repeats a request by itself."""

import stripe

from sandbox import SandboxTest, client, intents_of, order, set_fault

PERSISTENT = client(max_network_retries=2).v1.payment_intents


class Failures(SandboxTest):
    def test_a_failure_of_the_provider_is_an_api_error(self):
        for status in [500, 503]:
            with self.subTest(status):
                mine = order()
                intent = self.create("pm_card_visa", metadata=mine)
                set_fault(mine, times=1, answer={"fail": status})
                error = self.refused(stripe.APIError, self.intents.confirm, intent.id)
                self.assertEqual((error.http_status, error.error.type), (status, "api_error"))
                self.assertEqual(self.retrieve(intent).status, "requires_confirmation")
                self.assertEqual(self.confirm(intent).status, "succeeded")

    def test_too_many_requests_are_a_rate_limit_error(self):
        mine = order()
        intent = self.create("pm_card_visa", metadata=mine)
        set_fault(mine, times=1, answer={"fail": 429})
        error = self.refused(stripe.RateLimitError, self.intents.confirm, intent.id)
        self.assertEqual((error.http_status, error.error.code), (429, "rate_limit"))

    def test_a_lost_answer_is_a_connection_error_although_the_money_was_taken(self):
        mine = order()
        intent = self.create("pm_card_visa", metadata=mine)
        set_fault(mine, route="confirm", times=1, answer="lose")
        self.refused(stripe.APIConnectionError, self.intents.confirm, intent.id)
        self.assertEqual(self.retrieve(intent).status, "succeeded")


class Retries(SandboxTest):
    def test_a_look_that_fails_is_repeated_until_it_succeeds(self):
        mine = order()
        intent = self.create("pm_card_visa", metadata=mine)
        set_fault(mine, route="retrieve", times=2, answer={"fail": 503})
        self.assertEqual(PERSISTENT.retrieve(intent.id), intent)

    def test_a_lost_answer_is_asked_for_again_under_the_same_key(self):
        mine = order()
        set_fault(mine, route="create", times=1, answer="lose")
        intent = PERSISTENT.create({"amount": 1099, "currency": "eur", "metadata": mine})
        self.assertEqual(intent.last_response.headers["idempotent-replayed"], "true")
        self.assertEqual([entry["intent"] for entry in intents_of(mine)], [intent.id])

    def test_a_busy_provider_keeps_no_answer_under_the_key(self):
        mine = order()
        intent = self.create("pm_card_visa", metadata=mine)
        set_fault(mine, route="confirm", times=2, answer={"fail": 409})
        self.assertEqual(PERSISTENT.confirm(intent.id).status, "succeeded")

    def test_a_failure_is_replayed_under_its_key_and_another_key_succeeds(self):
        mine = order()
        params = {"amount": 1099, "currency": "eur", "metadata": mine}
        set_fault(mine, route="create", times=1, answer={"fail": 503})
        error = self.refused(stripe.APIError, PERSISTENT.create, params)
        self.assertEqual(error.headers["idempotent-replayed"], "true")
        self.assertEqual(intents_of(mine), [])
        self.assertEqual(PERSISTENT.create(params).status, "requires_payment_method")
