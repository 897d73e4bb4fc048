"""Stripe's documented test payment methods, each with the result that is documented for it."""

import stripe

from sandbox import SandboxTest, client, on_page

PAID = [
    "visa", "visa_debit", "mastercard", "mastercard_debit", "mastercard_prepaid", "amex",
    "discover", "diners", "jcb", "unionpay", "us", "de", "fr", "gb", "jp",
    "amex_threeDSecureNotSupported", "threeDSecureOptional",
    "threeDSecureOptionalProcessingError", "pendingRefund", "refundFail",
]

# Card, code, decline code.
DECLINED = [
    ("chargeDeclined", "card_declined", "generic_decline"),
    ("visa_chargeDeclined", "card_declined", "generic_decline"),
    ("chargeCustomerFail", "card_declined", "generic_decline"),
    ("threeDSecureRequiredProcessingError", "card_declined", "generic_decline"),
    ("chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
    ("visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ("visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
    ("visa_chargeDeclinedFraudulent", "card_declined", "fraudulent"),
    ("radarBlock", "card_declined", "fraudulent"),
    ("chargeDeclinedExpiredCard", "expired_card", None),
    ("chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ("chargeDeclinedProcessingError", "processing_error", None),
]

# Card, and the decline code of a payment that was authenticated.
AUTHENTICATED = {
    "authenticationRequired": None,
    "authenticationRequiredOnSetup": None,
    "authenticationRequiredSetupForOffSession": None,
    "threeDSecureRequired": None,
    "threeDSecure2Required": None,
    "authenticationRequiredChargeDeclinedInsufficientFunds": "insufficient_funds",
    "threeDSecureRequiredChargeDeclined": "generic_decline",
}

RETURN_URL = "https://amelie.example/orders?from=bank"


class Cards(SandboxTest):
    def test_a_card_that_works_pays(self):
        for card in PAID:
            with self.subTest(card):
                self.assertEqual(self.pay(f"pm_card_{card}").amount_received, 1099)

    def test_a_card_that_is_declined_says_why_and_leaves_the_intent_open(self):
        for card, code, decline_code in DECLINED:
            with self.subTest(card):
                intent = self.create(f"pm_card_{card}")
                error = self.refused(stripe.CardError, self.intents.confirm, intent.id)
                self.assertEqual((error.http_status, error.code), (402, code))
                self.assertEqual(error.error.decline_code, decline_code)
                self.assertEqual(error.error.payment_method.object, "payment_method")

                after = error.error.payment_intent
                self.assertEqual(after, self.retrieve(intent))
                self.assertEqual(
                    (after.status, after.payment_method), ("requires_payment_method", None)
                )
                self.assertEqual(after.last_payment_error.code, code)
                self.assertEqual(error.error.charge, after.latest_charge)
                paid = self.confirm(intent, payment_method="pm_card_visa")
                self.assertEqual(paid.status, "succeeded")

    def test_a_card_that_asks_for_authentication_waits_for_the_customer(self):
        for card in AUTHENTICATED:
            with self.subTest(card):
                waiting = self.confirm(self.create(f"pm_card_{card}"))
                self.assertEqual(waiting.status, "requires_action")
                self.assertEqual(waiting.next_action.type, "use_stripe_sdk")

    def test_an_authenticated_payment_waits_for_the_merchant_or_goes_on_by_itself(self):
        for card, decline_code in AUTHENTICATED.items():
            for method in ("manual", "automatic"):
                with self.subTest(card, method=method):
                    intent = self.create(f"pm_card_{card}", confirmation_method=method)
                    waiting = self.confirm(intent, return_url=RETURN_URL)
                    self.assertEqual(waiting.next_action.type, "redirect_to_url")
                    redirect = waiting.next_action.redirect_to_url
                    self.assertEqual(redirect.return_url, RETURN_URL)
                    back = on_page(redirect.url, "complete")
                    self.assertTrue(back.startswith(RETURN_URL))
                    self.assertIn(f"payment_intent={intent.id}", back)
                    self.assertIn("redirect_status=succeeded", back)
                    if method == "manual":
                        self.assertEqual(self.retrieve(intent).status, "requires_confirmation")
                        if decline_code is None:
                            self.confirm(intent)
                        else:
                            self.refused(stripe.CardError, self.intents.confirm, intent.id)
                    after = self.retrieve(intent)
                    if decline_code is None:
                        self.assertEqual(after.status, "succeeded")
                    else:
                        self.assertEqual(after.status, "requires_payment_method")
                        self.assertEqual(after.last_payment_error.decline_code, decline_code)

    def test_a_failed_authentication_leaves_the_intent_without_a_payment_method(self):
        intent = self.create("pm_card_threeDSecure2Required", confirmation_method="manual")
        waiting = self.confirm(intent, return_url=RETURN_URL)
        page = waiting.next_action.redirect_to_url.url
        self.assertIn("redirect_status=failed", on_page(page, "fail"))
        after = self.retrieve(intent)
        self.assertEqual(
            (after.status, after.payment_method), ("requires_payment_method", None)
        )
        self.assertEqual(
            after.last_payment_error.code, "payment_intent_authentication_failure"
        )

    def test_a_browser_confirms_only_an_intent_whose_confirmation_is_automatic(self):
        browser = client(api_key="pk_test_sandbox").v1.payment_intents
        manual = self.create("pm_card_visa", confirmation_method="manual")
        secret = {"client_secret": manual.client_secret}
        self.refused(stripe.InvalidRequestError, browser.confirm, manual.id, secret)
        self.assertEqual(self.retrieve(manual).status, "requires_confirmation")
        automatic = self.create("pm_card_visa")
        secret = {"client_secret": automatic.client_secret}
        self.assertEqual(browser.confirm(automatic.id, secret).status, "succeeded")
        self.refused(stripe.AuthenticationError, browser.retrieve, manual.id)

    def test_a_card_that_asks_for_authentication_is_declined_if_nobody_can_authenticate(self):
        for card in AUTHENTICATED:
            with self.subTest(card):
                intent = self.create(f"pm_card_{card}")
                error = self.refused(
                    stripe.CardError,
                    self.intents.confirm,
                    intent.id,
                    {"error_on_requires_action": True},
                )
                self.assertEqual(error.code, "authentication_required")
                self.assertEqual(error.error.payment_intent.status, "requires_payment_method")

    def test_a_payment_method_that_does_not_exist_is_missing(self):
        error = self.refused(stripe.InvalidRequestError, self.create, "pm_made_up")
        self.assertEqual((error.code, error.param), ("resource_missing", "payment_method"))
