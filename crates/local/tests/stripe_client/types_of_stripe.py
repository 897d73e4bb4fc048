"""Compares answers with the types that Stripe generates for its client from its API's definition.

The client itself accepts any JSON, whatever its types declare.
"""

import typing
from typing import Literal, Union

import stripe
from stripe._stripe_object import UntypedStripeObject

NONE = type(None)


def faults_of(answer):
    """Lists the fields of an answer of the API that are unknown, missing or of another type."""
    return list(faults_of_object(answer.to_dict(), type(answer), type(answer).__name__))


def faults_of_object(value, cls, where):
    hints = declared(cls)
    for name in value.keys() - hints.keys():
        yield f"{where}.{name} is unknown to the client"
    for name, hint in hints.items():
        if name in value:
            yield from faults_of_value(value[name], hint, f"{where}.{name}")
        elif NONE not in typing.get_args(hint):
            yield f"{where}.{name} is missing"


def faults_of_value(value, hint, where):
    if not fits(value, hint):
        yield f"{where} is {value!r}, not {hint}"
    for cls in objects_in(hint):
        if isinstance(value, dict):
            yield from faults_of_object(value, cls, where)
        elif isinstance(value, list):
            for each in value:
                yield from faults_of_object(each, cls, f"{where}[]")


def fits(value, hint):
    """Whether the outermost part of a value has a type."""
    hint = resolved(hint)
    kind, args = typing.get_origin(hint), typing.get_args(hint)
    if kind is Union:
        # An enumeration is declared as "one of these, or any text", for values to come.
        if any(typing.get_origin(arg) is Literal for arg in args):
            args = [arg for arg in args if arg is not str]
        return any(fits(value, arg) for arg in args)
    if kind is Literal:
        return value in args
    if kind is UntypedStripeObject:
        return isinstance(value, dict) and all(fits(each, args[0]) for each in value.values())
    if kind is list:
        return isinstance(value, list) and all(fits(each, args[0]) for each in value)
    if isinstance(hint, type) and issubclass(hint, stripe.StripeObject):
        return isinstance(value, dict)
    return hint is typing.Any or type(value) is hint


def objects_in(hint):
    """The classes of objects in a type. Those that it leaves open by a union are not told apart."""
    hint = resolved(hint)
    if typing.get_origin(hint) in (UntypedStripeObject, Literal):
        return []
    if isinstance(hint, type) and issubclass(hint, stripe.StripeObject):
        return [hint]
    found = [cls for arg in typing.get_args(hint) for cls in objects_in(arg)]
    return found if len(found) == 1 else []


def declared(cls):
    """The fields of a class of the client, whose constants are of upper case."""
    return {name: hint for name, hint in cls.__annotations__.items() if name[0].islower()}


def resolved(hint):
    """The class that a type refers to by its name."""
    if isinstance(hint, typing.ForwardRef):
        hint = hint.__forward_arg__
    # Some classes are known to the client's modules by other names.
    return getattr(stripe, hint, stripe.StripeObject) if isinstance(hint, str) else hint
