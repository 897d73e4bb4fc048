"""The recorded answers of Stripe's documentation are of the client's types, and a wrong one is not.
"""

import json
from pathlib import Path
from unittest import TestCase

import stripe

from types_of_stripe import faults_of

RECORDED = Path(__file__).parent.parent / "recorded"


def recorded(name, **changes):
    body = json.loads((RECORDED / f"{name}.json").read_text())["body"]
    return stripe.PaymentIntent.construct_from({**body, **changes}, "sk_test")


class Types(TestCase):
    def test_a_recorded_intent_has_no_fault(self):
        for path in RECORDED.glob("intent_*.json"):
            with self.subTest(path.stem):
                self.assertEqual(faults_of(recorded(path.stem)), [])

    def test_a_wrong_field_is_found_wherever_it_is(self):
        for changes, where in [
            ({"status": "paid"}, ".status is 'paid'"),
            ({"amount": "1099"}, ".amount is '1099'"),
            ({"livemode": None}, ".livemode is None"),
            ({"metadata": {"order_id": 6735}}, ".metadata is "),
            ({"payment_method_types": [1]}, ".payment_method_types is [1]"),
            ({"amount_details": {"tip": {"amount": "1"}}}, ".amount_details.tip.amount is '1'"),
            ({"next_action": {}}, ".next_action.type is missing"),
            ({"colour": "red"}, ".colour is unknown to the client"),
        ]:
            with self.subTest(where):
                [fault] = faults_of(recorded("intent_succeeded", **changes))
                self.assertTrue(fault.startswith(f"PaymentIntent{where}"), fault)
