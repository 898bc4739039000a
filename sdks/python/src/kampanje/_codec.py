"""Converts models to JSON values and back, by the annotations of their fields."""

from __future__ import annotations

import dataclasses
import datetime
import re
import types
import typing
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, Literal, TypeVar, Union

from ._errors import ResponseError
from ._types import UNSET, Unknown, Unset, to_wire_name

T = TypeVar("T")
Decoder = Callable[[Any], Any]

_FRACTION = re.compile(r"\.(\d+)")


def encode(value: object) -> Any:
    """Returns the JSON value of a model or of a parameter. Fields that are unset are absent."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise TypeError("a point in time needs a time zone")
        return value.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float):
        raise TypeError("a float is not exact; use decimal.Decimal")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((name, getattr(value, name)) for name in _wire_names(type(value)))
        names = _wire_names(type(value))
        return {names[name]: encode(field) for name, field in fields if field is not UNSET}
    if isinstance(value, Unknown):
        return value.raw
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    raise TypeError(f"not a value of the API: {value!r}")


def decode(value: Any, hint: Any) -> Any:
    """Returns the object of a type from its JSON value. Fields that it does not know are ignored."""
    try:
        return _decoder(hint)(value)
    except (TypeError, ValueError, KeyError, ArithmeticError) as error:
        raise ResponseError(f"the response does not have the form of {hint}: {error}") from error


def convert(value: object, target: type[T]) -> T:
    """Returns an object with the fields that both types have."""
    return typing.cast("T", _decoder(typing.cast("Any", target))(encode(value)))


@cache
def _wire_names(model: type) -> dict[str, str]:
    return {field.name: to_wire_name(field.name) for field in dataclasses.fields(model)}


@cache
def _decoder(hint: Any) -> Decoder:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union_decoder([one for one in arguments if one not in (type(None), Unset)])
    if origin is list:
        item = _decoder(arguments[0])
        return lambda values: [item(value) for value in values]
    if hint is Decimal:
        return Decimal
    if hint is datetime.date:
        return datetime.date.fromisoformat
    if hint is datetime.datetime:
        return _timestamp
    if dataclasses.is_dataclass(hint):
        return _model_decoder(hint)
    return lambda value: value


def _union_decoder(alternatives: list[Any]) -> Decoder:
    models = [one for one in alternatives if dataclasses.is_dataclass(one)]
    # A text with known values is `Literal[…] | str`, which needs no conversion.
    others = [one for one in alternatives if typing.get_origin(one) is not Literal]
    if len(models) > 1 or Unknown in alternatives:
        return _variant_decoder(models)
    if len(others) == 1:
        inner = _decoder(others[0])
        return lambda value: None if value is None else inner(value)
    return lambda value: value


def _variant_decoder(models: list[Any]) -> Decoder:
    constants = [(model, _constants(model)) for model in models]

    def decode_variant(value: Any) -> Any:
        if value is None:
            return None
        for model, fields in constants:
            if fields and all(value.get(name) in values for name, values in fields.items()):
                return _decoder(model)(value)
        return Unknown(value)

    return decode_variant


def _constants(model: Any) -> dict[str, tuple[Any, ...]]:
    """Returns the fields of a model that can have few values only."""
    hints = typing.get_type_hints(model)
    return {
        _wire_names(model)[name]: typing.get_args(hint)
        for name, hint in hints.items()
        if typing.get_origin(hint) is Literal
    }


def _model_decoder(model: Any) -> Decoder:
    plan: list[tuple[str, str, bool, Decoder]] | None = None

    def decode_model(value: Any) -> Any:
        nonlocal plan
        if plan is None:
            # Made late, since models can contain themselves.
            hints = typing.get_type_hints(model)
            names = _wire_names(model)
            plan = [
                (
                    field.name,
                    names[field.name],
                    field.default is dataclasses.MISSING and not _permits_none(hints[field.name]),
                    _decoder(hints[field.name]),
                )
                for field in dataclasses.fields(model)
            ]
        found = {}
        for name, wire_name, required, decoder in plan:
            if wire_name in value:
                member = value[wire_name]
                found[name] = None if member is None else decoder(member)
            elif required:
                raise KeyError(wire_name)
            else:
                # Also of a field that other versions of the service omit instead of null.
                found.setdefault(name, None)
        return model(**found)

    return decode_model


def _permits_none(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)


def _timestamp(text: str) -> datetime.datetime:
    # Older versions of Python read neither `Z` nor fractions of other lengths.
    text = _FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), text, count=1)
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
