"""The sandbox as Stripe's client sees it, for the tests beside this file."""

import json
import os
from unittest import TestCase
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen
from uuid import uuid4

import stripe

from types_of_stripe import faults_of

URL = os.environ["STRIPE_URL"]
KEY = os.environ["STRIPE_KEY"]


def client(api_key=KEY, max_network_retries=0):
    """Stripe's client of the sandbox. It tries once, so that a test sees the first answer."""
    return stripe.StripeClient(
        api_key,
        base_addresses={"api": URL},
        max_network_retries=max_network_retries,
    )


class SandboxTest(TestCase):
    """A test with a client, which checks that answers are of the types that the client declares."""

    stripe = client()
    intents = stripe.v1.payment_intents
    refunds = stripe.v1.refunds
    disputes = stripe.v1.disputes

    def create(self, payment_method=None, amount=1099, **more):
        params = {"amount": amount, "currency": "eur", "payment_method_types": ["card"], **more}
        if payment_method is not None:
            params["payment_method"] = payment_method
        return self.well_formed(self.intents.create(params))

    def pay(self, payment_method="pm_card_visa", **more):
        """Creates an intent and takes its money."""
        return self.confirm(self.create(payment_method, **more))

    def confirm(self, intent, **params):
        return self.well_formed(self.intents.confirm(intent.id, params))

    def retrieve(self, intent):
        return self.well_formed(self.intents.retrieve(intent.id))

    def refund(self, intent, **params):
        return self.well_formed(self.refunds.create({"payment_intent": intent.id, **params}))

    def refused(self, kind, call, *args, **kwargs):
        """Makes a call that has to fail, and returns the client's exception."""
        with self.assertRaises(kind) as caught:
            call(*args, **kwargs)
        error = caught.exception
        self.assertIs(type(error), kind)
        if error.error is not None:
            self.well_formed(error.error)
        return error

    def well_formed(self, answer):
        self.assertEqual(faults_of(answer), [])
        return answer


def order():
    """Metadata that marks the intents of one test."""
    return {"order_id": str(uuid4())}


def set_fault(metadata, **fault):
    """Has the sandbox fail for the intents of one test."""
    body = json.dumps({"order_id": metadata["order_id"], **fault}).encode()
    headers = {"Content-Type": "application/json"}
    urlopen(Request(f"{URL}/_sandbox/faults", data=body, headers=headers)).close()


class Stay(HTTPRedirectHandler):
    """Does not follow a redirection."""

    def redirect_request(self, *_):
        return None


def on_page(url, outcome):
    """Does what the customer does on the page for authentication. Returns where they are sent."""
    urlopen(url).close()
    try:
        build_opener(Stay).open(url, data=f"outcome={outcome}".encode()).close()
    except HTTPError as answer:
        assert answer.code == 303, answer
        return answer.headers["Location"]
    raise AssertionError("the customer stays on the page")


def intents_of(metadata):
    """The intents of one test in the sandbox's ledger, oldest first."""
    with urlopen(f"{URL}/_sandbox/ledger") as answer:
        entries = json.load(answer)
    return [entry for entry in entries if entry["order_id"] == metadata["order_id"]]
