"""The daemon's connection: every verb of the port goes through, and every change is fenced."""

from __future__ import annotations

import inspect

import pytest

from ctao_bdms.catalogue import Catalogue, InMemoryCatalogue
from ctao_bdms.daemon.connection import Connection
from ctao_bdms.errors import AuthenticationError, LeaseLostError
from ctao_bdms.model import Rse

VERBS = [name for name, _ in inspect.getmembers(Catalogue, inspect.isfunction) if not name.startswith("_")]
CHANGES = {
    "add_rule",
    "annotate",
    "close_block",
    "declare_bad",
    "declare_suspicious",
    "end_rule",
    "ensure_directories",
    "mark_lost",
    "open_block",
    "prolong_rule",
    "redirect_rule",
    "register",
    "reopen_block",
    "retry_rule",
}


class CalledError(Exception):
    """The archive was called."""


class Everything(InMemoryCatalogue):
    """An archive that raises `CalledError` for every verb."""

    def __getattribute__(self, name: str) -> object:
        if name not in VERBS:
            return super().__getattribute__(name)

        def call(*args: object, **named: object) -> None:
            raise CalledError(name)

        return call


def lost() -> None:
    raise LeaseLostError(1, 2)


@pytest.mark.parametrize("verb", VERBS)
def test_changes_are_fenced_and_questions_are_not(verb: str) -> None:
    connection = Connection(lambda: Everything([]), lost)
    with pytest.raises(LeaseLostError if verb in CHANGES else CalledError):
        list(getattr(connection, verb)(*([None] if verb == "find" else [])))


def test_connects_at_the_first_call_and_again_after_refused_credentials() -> None:
    made: list[InMemoryCatalogue] = []

    class Expired(InMemoryCatalogue):
        def scopes(self) -> list[str]:
            raise AuthenticationError("the token has expired")

    def connect() -> InMemoryCatalogue:
        made.append(Expired([Rse(name="PIC-DISK", prefix="/pic", centre="PIC")]))
        return made[-1]

    connection = Connection(connect, lambda: None)
    assert not made
    assert list(connection.rses()) == ["PIC-DISK"]
    with pytest.raises(AuthenticationError):
        connection.scopes()
    assert len(made) == 1
    connection.rses()
    assert len(made) == 2


def test_has_the_verbs_of_the_port_only() -> None:
    with pytest.raises(AttributeError, match="no attribute 'transfer'"):
        _ = Connection(lambda: InMemoryCatalogue([]), lost).transfer
